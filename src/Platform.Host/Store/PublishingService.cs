using Marten;
using Medallion.Threading.Postgres;
using Platform.Kernel;

namespace Platform.Host.Store;

/// <summary>Runs the daemon on the one replica that holds the leader's lock; the others wait to take over.
/// Marten's own election does not work with the lock package we take (docs/adr/0001).</summary>
internal sealed class PublishingService(Database database, IReadOnlyList<IModule> modules, IServiceScopeFactory scopes, ILogger<PublishingService> log) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await LeadAsync(stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
            }
            catch (Exception e)
            {
                log.LogWarning(e, "Publishing events stopped; it starts again in 5 seconds.");
                await Task.Delay(TimeSpan.FromSeconds(5), stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private async Task LeadAsync(CancellationToken ct)
    {
        var electionLock = new PostgresDistributedLock(new PostgresAdvisoryLockKey("platform-daemon", allowHashing: true), database.Daemon);
        await using var held = await electionLock.AcquireAsync(cancellationToken: ct);
        using var lost = CancellationTokenSource.CreateLinkedTokenSource(ct, held.HandleLostToken);

        using var store = DocumentStore.For(options =>
        {
            StoreSetup.Configure(options, database.Daemon, modules);
            foreach (var module in modules) options.Events.Subscribe(new EventPublisher(module, scopes));
        });
        using var daemon = await store.BuildProjectionDaemonAsync(logger: log);
        await daemon.StartAllAsync();
        await Task.Delay(Timeout.Infinite, lost.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await daemon.StopAllAsync();
    }
}
