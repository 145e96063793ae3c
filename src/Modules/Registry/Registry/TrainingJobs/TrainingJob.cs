using System.Text.Json.Serialization;
using JasperFx;
using JasperFx.Events;
using Platform.Kernel;

namespace Platform.Registry.TrainingJobs;

/// <summary>What to train, as asked.</summary>
internal sealed record TrainingRequested(string Dataset, string Target, string Model, string? TimeColumn, double TestFraction, int Seed);

/// <summary>A worker took the job up; more than once when a worker was lost, because training then begins again.</summary>
internal sealed record TrainingBegun;

internal sealed record TrainingSucceeded(int Version);

internal sealed record TrainingFailed(string Code, string Detail, string? Field, string? Mend);

internal sealed record TrainingCancelled;

internal enum TrainingStatus
{
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

/// <summary>A training from the request to its end, which comes once: a job that has ended takes no further event.</summary>
/// <param name="MadeVersion">Not called Version, which the store would take for the stream's.</param>
internal sealed record TrainingJob(
    string Id, TrainingRequested Asked, TrainingStatus Status, string RequestedBy, DateTimeOffset RequestedAt, DateTimeOffset? BegunAt, DateTimeOffset? EndedAt,
    int? MadeVersion, TrainingFailed? Failure) : IRevisioned
{
    /// <summary>The stream's revision, set by the store.</summary>
    public int Version { get; set; }

    public bool HasEnded => Status is TrainingStatus.Succeeded or TrainingStatus.Failed or TrainingStatus.Cancelled;

    public Guid JobId() => Guid.ParseExact(Id["training-job:".Length..], "N");

    public static string Key(Guid id) => $"training-job:{id:N}";

    public static TrainingJob Create(IEvent<TrainingRequested> e) =>
        new(e.StreamKey!, e.Data, TrainingStatus.Queued, e.UserName ?? "system", e.Timestamp, null, null, null, null);

    public TrainingJob Apply(IEvent<TrainingBegun> e) => this with { Status = TrainingStatus.Running, BegunAt = e.Timestamp };

    public TrainingJob Apply(IEvent<TrainingSucceeded> e) => this with { Status = TrainingStatus.Succeeded, MadeVersion = e.Data.Version, EndedAt = e.Timestamp };

    public TrainingJob Apply(IEvent<TrainingFailed> e) => this with { Status = TrainingStatus.Failed, Failure = e.Data, EndedAt = e.Timestamp };

    public TrainingJob Apply(IEvent<TrainingCancelled> e) => this with { Status = TrainingStatus.Cancelled, EndedAt = e.Timestamp };
}

/// <summary>How far a running job is. Overwritten in place: nobody will ask next year how far it was.</summary>
internal sealed record TrainingProgress(string Id, double Fraction, string Doing);

/// <summary>A training job as the API and the pages show it.</summary>
/// <param name="Progress">From 0 to 1.</param>
/// <param name="Doing">What it is doing now, for a person.</param>
/// <param name="Version">The version it made.</param>
/// <param name="Failure">Why it ended without one.</param>
internal sealed record TrainingJobView(
    Guid Id, TrainingStatus Status, string Dataset, string Target, string Model, string? TimeColumn, double TestFraction, int Seed,
    double Progress, string Doing, string RequestedBy, DateTimeOffset RequestedAt, DateTimeOffset? BegunAt, DateTimeOffset? EndedAt,
    int? Version, TrainingFailed? Failure) : IHasRevision
{
    [JsonIgnore]
    public long Revision { get; init; }

    public static TrainingJobView Of(TrainingJob job, TrainingProgress? progress) => new(
        job.JobId(), job.Status, job.Asked.Dataset, job.Asked.Target, job.Asked.Model, job.Asked.TimeColumn, job.Asked.TestFraction, job.Asked.Seed,
        job.Status switch { TrainingStatus.Queued => 0, TrainingStatus.Succeeded => 1, _ => progress?.Fraction ?? 0 },
        job.Status switch
        {
            TrainingStatus.Queued => "Waiting for a worker",
            TrainingStatus.Running => progress?.Doing ?? "Starting",
            TrainingStatus.Succeeded => "Done",
            TrainingStatus.Failed => "Failed",
            _ => "Cancelled",
        },
        job.RequestedBy, job.RequestedAt, job.BegunAt, job.EndedAt, job.MadeVersion, job.Failure)
    { Revision = job.Version };
}
