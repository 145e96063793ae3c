namespace Platform.Kernel;

/// <summary>Long work on the job queue. A job carries ids only; it runs in a scope whose caller is the system of that tenant.</summary>
/// <typeparam name="TArgs">A small record of primitives, serialized with the job.</typeparam>
public interface IJob<in TArgs>
{
    /// <summary>Does the work. It must be safe to run again from the start after a crash. Throwing has it retried with growing pauses;
    /// expected failures are recorded by the job itself and do not throw.</summary>
    Task RunAsync(TArgs args, CancellationToken ct);
}

/// <summary>The job queue.</summary>
public interface IJobs
{
    /// <summary>Queues the job for the tenant. Queue it after the state it reads is committed.</summary>
    void Enqueue<TJob, TArgs>(string tenant, TArgs args) where TJob : IJob<TArgs> where TArgs : notnull;
}
