namespace Platform.Host.Store;

/// <summary>The PostgreSQL server behind the platform: yours when PLATFORM_DATABASE names one, else an embedded one that lives and dies with the host.</summary>
internal sealed record DatabaseServer(string ConnectionString, string? Recovery, Func<ValueTask> Stop) : IAsyncDisposable
{
    public static Task<DatabaseServer> StartAsync(PlatformSettings settings, ILogger log, CancellationToken ct)
    {
        if (settings.Database is { Length: > 0 } yours) return Task.FromResult(new DatabaseServer(yours, null, () => ValueTask.CompletedTask));
        throw new StartupRefusedException("Set PLATFORM_DATABASE.");
    }

    public ValueTask DisposeAsync() => Stop();
}
