using System.Threading.Channels;
using MediatR;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Platform.Billing.Contracts;
using Platform.Inference.Predict;
using Platform.Inference.Predict.Journal;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;
using Platform.Tenancy.Contracts;

namespace Platform.Inference.Endpoints;

/// <summary>Topics of the signals that make every replica compile again.</summary>
internal static class InferenceSignals
{
    public const string Prefix = "inference.";

    /// <summary>One endpoint: the id is its name.</summary>
    public const string Endpoint = "inference.endpoint";

    /// <summary>All of a tenant's.</summary>
    public const string Tenant = "inference.tenant";
}

/// <summary>Keeps the serving table true: compiles every tenant at the start, and after that whatever a signal names. What fails is tried again.</summary>
internal sealed partial class PlanKeeper(
    PlanCompiler compiler, ServingTable table, ModelCache models, RunGate gate, JournalWriter journal, PredictMetrics metrics,
    ISignals signals, IServiceScopeFactory scopes, ILogger<PlanKeeper> log) : BackgroundService
{
    private static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(2);

    private readonly Channel<Signal> heard = Channel.CreateUnbounded<Signal>(new UnboundedChannelOptions { SingleReader = true });

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        models.Unloaded = table.GiveBack;
        metrics.Observe(() => journal.Queued, () => gate.Waiting, () => models.ResidentBytes);
        // Listening before looking: a change made meanwhile is compiled twice rather than never.
        using var subscription = signals.Subscribe(InferenceSignals.Prefix, signal => heard.Writer.TryWrite(signal));
        await TryUntilDoneAsync(() => CompileAllAsync(stoppingToken), stoppingToken);
        table.Ready();
        var warming = WarmAsync(stoppingToken);
        await foreach (var signal in heard.Reader.ReadAllAsync(stoppingToken))
        {
            await TryUntilDoneAsync(() => signal.Topic == "*" || signal.Tenant == EntitlementChanged.EveryTenant ? CompileAllAsync(stoppingToken)
                : compiler.CompileAsync(signal.Tenant, signal.Topic == InferenceSignals.Endpoint ? signal.Id : null, load: true, stoppingToken), stoppingToken);
        }
        await warming;
    }

    private async Task CompileAllAsync(CancellationToken ct)
    {
        IReadOnlyList<TenantSummary> tenants;
        await using (var scope = scopes.CreateAsyncScope())
        {
            scope.ServiceProvider.GetRequiredService<CallerScope>().Begin(Caller.System(Caller.PlatformTenant));
            tenants = await scope.ServiceProvider.GetRequiredService<IMediator>().Send(new ListAllTenants(), ct);
        }
        foreach (var tenant in tenants)
        {
            try
            {
                await compiler.CompileAsync(tenant.Id, null, load: false, ct);
            }
            catch (Exception failure) when (failure is not OperationCanceledException)
            {
                // One tenant's trouble must not keep the others from being served.
                LogFailed(log, tenant.Id, failure);
                heard.Writer.TryWrite(new Signal(InferenceSignals.Tenant, tenant.Id, "*"));
            }
        }
    }

    /// <summary>Loads models before their first request asks for them, as many as fit.</summary>
    private async Task WarmAsync(CancellationToken ct)
    {
        foreach (var serving in table.Current.Values)
        {
            if (ct.IsCancellationRequested || models.ResidentBytes > models.MemoryBudget * 9 / 10) return;
            if (serving.Plan is not { Model.IsLoaded: false } plan) continue;
            var use = await plan.Model.UseAsync(CancellationToken.None);
            if (use.IsOk) use.Value.Release();
        }
    }

    private async Task TryUntilDoneAsync(Func<Task> work, CancellationToken ct)
    {
        while (!ct.IsCancellationRequested)
        {
            try
            {
                await work();
                return;
            }
            catch (Exception failure) when (!ct.IsCancellationRequested)
            {
                LogFailed(log, "*", failure);
                await Task.Delay(RetryPause, ct).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Compiling the endpoints of tenant {Tenant} failed; it is tried again.")]
    private static partial void LogFailed(ILogger log, string tenant, Exception failure);
}

/// <summary>Ready once every endpoint has been compiled, and as long as the journal can be written.</summary>
internal sealed class ServingCheck(ServingTable table, JournalWriter journal) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) => Task.FromResult(
        !table.IsReady ? HealthCheckResult.Unhealthy("The endpoints are being prepared.")
        : journal.IsDown ? HealthCheckResult.Unhealthy("The prediction journal cannot be written.")
        : HealthCheckResult.Healthy());
}
