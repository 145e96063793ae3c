using Microsoft.Extensions.Logging;
using Npgsql;

namespace Platform.Inference.Predict.Admission;

/// <summary>Tells what this server holds of a tenant's quota in a month, and asks for <paramref name="want"/> more, or nothing when there are not even
/// <paramref name="need"/>. Null when there is no answer.</summary>
internal delegate Task<Lease?> AskForQuota(DateOnly month, long held, long need, long want, long quota);

/// <param name="Granted">Set aside for this server from now on.</param>
/// <param name="Recorded">The journal's count of the month.</param>
/// <param name="Others">Set aside for other servers.</param>
internal readonly record struct Lease(long Granted, long Recorded, long Others);

/// <summary>Leases parts of monthly quotas from PostgreSQL, for all servers on one database; the table is <c>inference.quota_leases</c>.</summary>
internal sealed partial class QuotaLeases(NpgsqlDataSource database, ILogger<QuotaLeases> log)
{
    /// <summary>A server that was not heard of for so long has lost its leases.</summary>
    private static readonly TimeSpan KeptFor = 3 * TenantQuota.KeptEvery;

    private readonly Guid replica = Guid.NewGuid();

    /// <summary>Asks for this tenant.</summary>
    public AskForQuota For(string tenant) => (month, held, need, want, quota) => AskAsync(tenant, month, held, need, want, quota);

    private async Task<Lease?> AskAsync(string tenant, DateOnly month, long held, long need, long want, long quota)
    {
        try
        {
            await using var connection = await database.OpenConnectionAsync();
            // A batch is one transaction and one round trip, so the binding holds for the function and for nothing else.
            await using var batch = new NpgsqlBatch(connection)
            {
                Timeout = 5,
                BatchCommands =
                {
                    new("select set_config('app.tenant_id', $1, true)") { Parameters = { new() { Value = tenant } } },
                    new("select granted, recorded, others from inference.lease_quota($1, $2, $3, $4, $5, $6, $7, $8)")
                    {
                        Parameters =
                        {
                            new() { Value = tenant }, new() { Value = month }, new() { Value = replica }, new() { Value = held },
                            new() { Value = need }, new() { Value = want }, new() { Value = quota }, new() { Value = KeptFor },
                        },
                    },
                },
            };
            await using var reader = await batch.ExecuteReaderAsync();
            await reader.NextResultAsync();
            await reader.ReadAsync();
            return new Lease(reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2));
        }
        catch (Exception failure) when (failure is NpgsqlException or TimeoutException or System.Net.Sockets.SocketException or IOException)
        {
            LogNotAnswered(log, tenant, failure);
            return null;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The monthly quota of tenant {Tenant} cannot be leased now.")]
    private static partial void LogNotAnswered(ILogger log, string tenant, Exception failure);
}
