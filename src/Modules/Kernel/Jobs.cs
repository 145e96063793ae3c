namespace Platform.Kernel;

/// <summary>Long work on the job queue. A job carries ids only; it runs in a scope whose caller is the system of that tenant.</summary>
/// <typeparam name="TArgs">A small record of primitives, serialized with the job.</typeparam>
public interface IJob<in TArgs>
{
    /// <summary>Does the work. It must be safe to run again from the start after a crash. Throwing has it retried with growing pauses;
    /// expected failures are recorded by the job itself and do not throw.</summary>
    Task RunAsync(TArgs args, CancellationToken ct);
}

/// <summary>A job that waits for others more than it works, such as a call to a server of a tenant's. Such jobs have workers of their own, so that neither a slow server holds
/// up a training nor a training a call.</summary>
/// <typeparam name="TArgs">A small record of primitives, serialized with the job.</typeparam>
public interface IWaitingJob<in TArgs> : IJob<TArgs>;

/// <summary>The job queue.</summary>
public interface IJobs
{
    /// <summary>Queues the job for the tenant. Queue it after the state it reads is committed.</summary>
    void Enqueue<TJob, TArgs>(string tenant, TArgs args) where TJob : IJob<TArgs> where TArgs : notnull;

    /// <summary>Queues the job for later, to a few seconds; it is kept over restarts.</summary>
    void Schedule<TJob, TArgs>(string tenant, TArgs args, TimeSpan delay) where TJob : IJob<TArgs> where TArgs : notnull;

    /// <summary>Has the job run every day at some hour of the night (UTC), once however many replicas say so. It runs as the system of the tenant.</summary>
    /// <param name="name">What it is known by; the same name again replaces it.</param>
    void Daily<TJob, TArgs>(string name, string tenant, TArgs args) where TJob : IJob<TArgs> where TArgs : notnull;
}
