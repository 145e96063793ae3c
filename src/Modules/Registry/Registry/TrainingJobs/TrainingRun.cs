using System.Text;
using MediatR;
using Platform.Features.Contracts;
using Platform.Kernel;
using Platform.Kernel.Store;
using Platform.Registry.Models;
using Platform.Registry.Training;

namespace Platform.Registry.TrainingJobs;

/// <summary>Runs a training in a child process and adds the version. Run again after a crash it begins from the start; the version and the
/// job's end are saved in one transaction, so there is never a second version, and none after a cancellation.</summary>
internal sealed class TrainingRun(TenantSessions sessions, IMediator mediator, IChildProcesses children, IBlobStore blobs, CallerScope scope, TimeProvider time, RegistryLimits limits, LoggedTraining logged)
    : IJob<TrainingRun.Args>
{
    internal sealed record Args(Guid Job);

    private static readonly TimeSpan Beat = TimeSpan.FromSeconds(1);

    public static IReadOnlyList<TrainingColumn> ColumnsOf(OpenedDataset dataset) => [.. dataset.Columns.Select(c => new TrainingColumn(c.Name, c.Type))];

    public static TrainingSpec SpecOf(TrainingRequested asked) => new(asked.Target, asked.TimeColumn, asked.TestFraction, Seed: asked.Seed);

    public async Task RunAsync(Args args, CancellationToken ct)
    {
        if (await BeginAsync(args.Job, ct) is not { } job) return;

        var dataset = await mediator.Send(new OpenDataset(job.Asked.Dataset), ct);
        if (dataset.Refusal is { } noDataset)
        {
            await EndAsync(job, Failed(noDataset), ct);
            return;
        }

        var result = await TrainAsync(job, dataset.Value, ct);
        if (result is not { } trained) return;
        if (trained.Refusal is { } refusal) await EndAsync(job, Failed(refusal), ct);
        else await AddVersionAsync(job, dataset.Value, await TrainWork.ReadResultAsync(trained.Value, ct), ct);
    }

    /// <summary>The job, now running; null when it has ended, which a repeated run finds.</summary>
    private async Task<TrainingJob?> BeginAsync(Guid id, CancellationToken ct)
    {
        await using var session = sessions.OpenSession();
        var stream = await session.Events.FetchForWriting<TrainingJob>(TrainingJob.Key(id), ct);
        if (stream.Aggregate is not { HasEnded: false } job) return null;
        stream.AppendOne(new TrainingBegun());
        session.Store(new TrainingProgress(job.Id, 0, "Starting"));
        await session.SaveChangesAsync(ct);
        return job;
    }

    /// <summary>What the child wrote or refused; null when the job was cancelled meanwhile.</summary>
    private async Task<Result<byte[]>?> TrainAsync(TrainingJob job, OpenedDataset dataset, CancellationToken ct)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(ct);
        var latest = new Latest();
        var watching = WatchAsync(job.Id, latest, stop);
        try
        {
            return await children.RunAsync(TrainWork.WorkName, WriteTaskAsync, latest, stop.Token, inBackground: true);
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return null;
        }
        finally
        {
            await stop.CancelAsync();
            await watching;
        }

        async Task WriteTaskAsync(Stream input, CancellationToken token)
        {
            await using var csv = await dataset.OpenCsv(token);
            await TrainWork.WriteTaskAsync(input, new TrainWork.Header(SpecOf(job.Asked), ColumnsOf(dataset)), csv, token);
        }
    }

    /// <summary>Once a second: writes how far the work is, and stops it when the job was cancelled, on whichever replica that was asked.</summary>
    private async Task WatchAsync(string id, Latest latest, CancellationTokenSource stop)
    {
        using var timer = new PeriodicTimer(Beat, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stop.Token))
            {
                await using var session = sessions.OpenSession();
                if (await session.LoadAsync<TrainingJob>(id, stop.Token) is not { HasEnded: false })
                {
                    await stop.CancelAsync();
                    return;
                }

                if (latest.Take() is not { } step) continue;
                session.Store(new TrainingProgress(id, step.Fraction, step.Doing));
                await session.SaveChangesAsync(stop.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // The training ended first.
        }
    }

    private async Task AddVersionAsync(TrainingJob job, OpenedDataset dataset, TrainedModel trained, CancellationToken ct)
    {
        var tenant = scope.Current.Tenant;
        var artifact = await StoreAsync(tenant, trained.Onnx, ct);
        var log = await StoreAsync(tenant, Encoding.UTF8.GetBytes(string.Join('\n', trained.Log) + "\n"), ct);
        var record = new TrainingRecord(
            job.JobId(), job.Asked.Dataset, dataset.ContentSha256, job.Asked.Target, trained.Algorithm, trained.Baseline, trained.Split, trained.Parity, log.Sha256);

        await logged.LogAsync(tenant, job, dataset, trained, ct);

        await using var session = sessions.OpenSession();
        var ending = await session.Events.FetchForExclusiveWriting<TrainingJob>(job.Id, ct);
        if (ending.Aggregate is not { HasEnded: false })
        {
            await logged.EndAsync(tenant, job, null, ct);
            return;
        }

        // Locked like an upload's, so that a version added at the same moment makes this one wait and not start again.
        var model = await session.Events.FetchForExclusiveWriting<RegisteredModel>(RegisteredModel.Key(job.Asked.Model), ct);
        if (model.Aggregate is not { Deleted: false }) model.AppendOne(new ModelRegistered(null));
        var added = new VersionAdded(
            (model.Aggregate?.LatestVersion ?? 0) + 1, VersionSource.Training, job.RequestedBy, null, artifact.Sha256, artifact.Length, trained.Signature, trained.Columns,
            FeaturePlan.Output, trained.Calibration, trained.Facts, trained.Metrics, record);
        model.AppendOne(added);
        ending.AppendOne(new TrainingSucceeded(added.Version));
        await session.SaveChangesAsync(ct);
        await logged.EndAsync(tenant, job, added.Version, ct);
    }

    private async Task<BlobRef> StoreAsync(string tenant, byte[] content, CancellationToken ct)
    {
        using var stream = new MemoryStream(content, writable: false);
        return (await blobs.PutAsync(tenant, stream, Math.Max(limits.MaxModelBytes, content.Length), ct)).Value;
    }

    private async Task EndAsync(TrainingJob job, TrainingFailed failed, CancellationToken ct)
    {
        await using var session = sessions.OpenSession();
        var stream = await session.Events.FetchForWriting<TrainingJob>(job.Id, ct);
        if (stream.Aggregate is not { HasEnded: false }) return;
        stream.AppendOne(failed);
        await session.SaveChangesAsync(ct);
    }

    private static TrainingFailed Failed(Refusal refusal) => new(refusal.Code, refusal.Detail, refusal.Field, refusal.Mend);

    /// <summary>Keeps the newest report; the ones between are of no interest.</summary>
    private sealed class Latest : IProgress<ChildProgress>
    {
        private ChildProgress? newest;

        public void Report(ChildProgress value) => Interlocked.Exchange(ref newest, value);

        public ChildProgress? Take() => Interlocked.Exchange(ref newest, null);
    }
}
