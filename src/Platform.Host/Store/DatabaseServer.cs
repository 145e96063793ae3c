using Platform.Host.EmbeddedPostgres;

namespace Platform.Host.Store;

/// <summary>The PostgreSQL server behind the platform: yours when PLATFORM_DATABASE names one, else an embedded one that lives and dies with the host.</summary>
/// <param name="Recovery">What had gone wrong before and was mended by this start, as a sentence; null when nothing had.</param>
internal sealed record DatabaseServer(string ConnectionString, string? Recovery, EmbeddedServer? Embedded) : IAsyncDisposable
{
    public static async Task<DatabaseServer> StartAsync(PlatformSettings settings, ILogger log, CancellationToken ct)
    {
        if (settings.Database is { Length: > 0 } yours) return new(yours, null, null);
        try
        {
            var embedded = await EmbeddedServer.StartAsync(settings.Data, log, ct);
            return new(embedded.AdminConnectionString, embedded.Recovery, embedded);
        }
        catch (EmbeddedServerException e)
        {
            throw new StartupRefusedException(e.Message);
        }
    }

    public ValueTask DisposeAsync() => Embedded?.DisposeAsync() ?? ValueTask.CompletedTask;
}
