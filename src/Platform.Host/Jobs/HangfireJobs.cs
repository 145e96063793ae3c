using Hangfire;
using Hangfire.States;
using Platform.Kernel;

namespace Platform.Host.Jobs;

/// <summary>The job queue over Hangfire. A queued job carries its tenant and small arguments; nothing else of the request survives.</summary>
internal sealed class HangfireJobs(IBackgroundJobClient client, IRecurringJobManager recurring) : IJobs
{
    public const string WaitingQueue = "waiting";

    public void Enqueue<TJob, TArgs>(string tenant, TArgs args) where TJob : IJob<TArgs> where TArgs : notnull =>
        client.Enqueue<JobRunner<TJob, TArgs>>(Queue<TJob, TArgs>(), runner => runner.RunAsync(tenant, args, CancellationToken.None));

    public void Schedule<TJob, TArgs>(string tenant, TArgs args, TimeSpan delay) where TJob : IJob<TArgs> where TArgs : notnull =>
        client.Schedule<JobRunner<TJob, TArgs>>(Queue<TJob, TArgs>(), runner => runner.RunAsync(tenant, args, CancellationToken.None), delay > TimeSpan.Zero ? delay : TimeSpan.Zero);

    public void Daily<TJob, TArgs>(string name, string tenant, TArgs args) where TJob : IJob<TArgs> where TArgs : notnull =>
        recurring.AddOrUpdate<JobRunner<TJob, TArgs>>(name, Queue<TJob, TArgs>(), runner => runner.RunAsync(tenant, args, CancellationToken.None), Cron.Daily(hour: 3, minute: 17));

    private static string Queue<TJob, TArgs>() => typeof(IWaitingJob<TArgs>).IsAssignableFrom(typeof(TJob)) ? WaitingQueue : EnqueuedState.DefaultQueue;
}

/// <summary>Runs a queued job in a scope whose caller is the system of the job's tenant.</summary>
internal sealed class JobRunner<TJob, TArgs>(IServiceScopeFactory scopes) where TJob : IJob<TArgs> where TArgs : notnull
{
    public async Task RunAsync(string tenant, TArgs args, CancellationToken ct)
    {
        await using var scope = scopes.CreateAsyncScope();
        scope.ServiceProvider.GetRequiredService<CallerScope>().Begin(Caller.System(tenant));
        await ActivatorUtilities.GetServiceOrCreateInstance<TJob>(scope.ServiceProvider).RunAsync(args, ct);
    }
}
