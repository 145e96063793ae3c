using System.Globalization;
using Npgsql;
using Platform.Host.Store;
using Platform.Kernel;

namespace Platform.Host.Blobs;

/// <summary>Mark, wait, sweep: docs/adr/0013-collecting-blobs.md says why it is safe.</summary>
internal sealed class BlobCollection(LocalBlobStore blobs, NpgsqlDataSource database, IEnumerable<IBlobNames> names, TimeProvider time) : IBlobCollection
{
    /// <summary>Drafts and parts are not waited for longer than this, whatever the grace period.</summary>
    private static readonly TimeSpan UnfinishedFor = TimeSpan.FromDays(2);

    public static readonly string Sql =
        $$"""
        create table if not exists platform.unnamed_blobs (
            tenant_id text        not null,
            sha256    text        not null,
            marked_at timestamptz not null,
            primary key (tenant_id, sha256)
        );
        alter table platform.unnamed_blobs enable row level security;
        drop policy if exists tenant on platform.unnamed_blobs;
        create policy tenant on platform.unnamed_blobs using (tenant_id = current_setting('{{StoreSetup.TenantSetting}}', true));
        grant select, insert, update, delete on platform.unnamed_blobs to platform_app;
        """;

    public async Task<BlobsCollected> CollectAsync(string tenant, TimeSpan grace, CancellationToken ct)
    {
        var now = time.GetUtcNow();
        var named = await NamedAsync(tenant, ct);
        var kept = 0L;
        List<(string Sha256, DateTimeOffset PutAt)> unnamed = [];
        foreach (var (sha256, _, putAt) in blobs.List(tenant))
        {
            if (named.Contains(Short(sha256))) kept++;
            else unnamed.Add((sha256, putAt));
        }

        var due = await MarkAsync(tenant, unnamed, now, now - grace, ct);
        var (deleted, bytes) = await blobs.DeleteAsync(tenant, due, ct);
        var (unfinished, unfinishedBytes) = blobs.DeleteUnfinished(tenant, now - UnfinishedFor);
        return new(kept, unnamed.Count - deleted, deleted + unfinished, bytes + unfinishedBytes);
    }

    /// <summary>Half of each hash, which is enough to tell them apart; two that met would both be kept.</summary>
    private async Task<HashSet<UInt128>> NamedAsync(string tenant, CancellationToken ct)
    {
        HashSet<UInt128> named = [];
        foreach (var module in names)
        {
            await foreach (var sha256 in module.OfAsync(tenant, ct)) named.Add(Short(sha256));
        }

        return named;
    }

    /// <summary>Marks what is unnamed now, takes the mark from what is not, and begins anew with what was put again.</summary>
    /// <returns>What was marked by the given moment, and when.</returns>
    private async Task<List<(string Sha256, DateTimeOffset MarkedAt)>> MarkAsync(
        string tenant, List<(string Sha256, DateTimeOffset PutAt)> unnamed, DateTimeOffset now, DateTimeOffset by, CancellationToken ct)
    {
        await using var bound = await BindAsync(tenant, ct);
        await using var mark = new NpgsqlCommand(
            """
            with unnamed as materialized (select * from unnest($2::text[], $3::timestamptz[]) u (sha256, put_at)),
            named as (delete from platform.unnamed_blobs m where m.tenant_id = $1 and not exists (select from unnamed u where u.sha256 = m.sha256)),
            marked as (
                insert into platform.unnamed_blobs as m (tenant_id, sha256, marked_at) select $1, sha256, $4 from unnamed
                on conflict (tenant_id, sha256) do update set marked_at = case
                    when m.marked_at <= (select u.put_at from unnamed u where u.sha256 = m.sha256) then excluded.marked_at else m.marked_at end
                returning m.sha256, m.marked_at)
            select sha256, marked_at from marked where marked_at <= $5
            """, bound.Connection)
        {
            CommandTimeout = 600,
            Parameters =
            {
                new() { Value = tenant },
                new() { Value = unnamed.Select(u => u.Sha256).ToArray() },
                new() { Value = unnamed.Select(u => u.PutAt.UtcDateTime).ToArray(), NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.Array | NpgsqlTypes.NpgsqlDbType.TimestampTz },
                new() { Value = now.UtcDateTime },
                new() { Value = by.UtcDateTime },
            },
        };
        List<(string, DateTimeOffset)> due = [];
        await using (var reader = await mark.ExecuteReaderAsync(ct))
        {
            while (await reader.ReadAsync(ct)) due.Add((reader.GetString(0), reader.GetFieldValue<DateTimeOffset>(1)));
        }

        await bound.Transaction.CommitAsync(ct);
        return due;
    }

    private async Task<Bound> BindAsync(string tenant, CancellationToken ct)
    {
        var connection = await database.OpenConnectionAsync(ct);
        var transaction = await connection.BeginTransactionAsync(ct);
        await using var bind = new NpgsqlCommand($"select set_config('{StoreSetup.TenantSetting}', $1, true)", connection, transaction) { Parameters = { new() { Value = tenant } } };
        await bind.ExecuteNonQueryAsync(ct);
        return new(connection, transaction);
    }

    private static UInt128 Short(string sha256) => UInt128.Parse(sha256.AsSpan(0, 32), NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private sealed record Bound(NpgsqlConnection Connection, NpgsqlTransaction Transaction) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await Transaction.DisposeAsync();
            await Connection.DisposeAsync();
        }
    }
}
