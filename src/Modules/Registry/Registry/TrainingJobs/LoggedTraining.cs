using System.Globalization;
using System.Text;
using System.Text.Json;
using Platform.Features.Contracts;
using Platform.Registry.Mlflow;
using Platform.Registry.RunComparison;
using Platform.Registry.Tracking;
using Platform.Registry.Training;

namespace Platform.Registry.TrainingJobs;

/// <summary>Logs a training as a run of its own, whose id is the job's: its settings, its metrics, its log and its predictions on the test rows, so that trainings are
/// searched, seen and compared like runs that came from anywhere else. Logged again after a crash, nothing changes.</summary>
internal sealed class LoggedTraining(ExperimentStore experiments, RunStore runs, Artifacts artifacts, RegistryLimits limits, TimeProvider time)
{
    public static string ExperimentOf(string model) => $"training/{model}";

    public async Task LogAsync(string tenant, TrainingJob job, OpenedDataset dataset, TrainedModel trained, CancellationToken ct)
    {
        var id = job.JobId();
        if (await runs.FindAsync(tenant, id, ct) is not { } run)
        {
            var created = await runs.CreateAsync(tenant, await ExperimentAsync(tenant, ExperimentOf(job.Asked.Model), ct), id, job.Asked.Model, job.RequestedBy, job.RequestedAt.ToUnixTimeMilliseconds(),
                [new(RunStore.NameTag, $"{job.Asked.Model} {job.RequestedAt:yyyy-MM-dd HH:mm:ss}"), new("mlflow.source.name", "training job"), new("platform.model", job.Asked.Model)], ct);
            run = created.Value;
        }

        await runs.LogAsync(tenant, id, [.. Metrics(trained).Select(m => new Metric(m.Key, m.Value, job.RequestedAt.ToUnixTimeMilliseconds(), 0))], [.. Parameters(job, trained)], [], ct);
        await runs.LogInputsAsync(tenant, id,
            [new DatasetInput(job.Asked.Dataset, dataset.ContentSha256, "platform", JsonSerializer.Serialize(new { dataset = job.Asked.Dataset, sha256 = dataset.ContentSha256 }), null, null, [new(RunStore.ContextTag, "training")])], ct);
        if (ArtifactRoutes.FolderOf(run.Info.ArtifactUri) is not { } folder) return;
        await PutAsync(tenant, $"{folder}/{EvaluationRows.Csv}", trained.Evaluation, ct);
        await PutAsync(tenant, $"{folder}/training.log", Encoding.UTF8.GetBytes(string.Join('\n', trained.Log) + "\n"), ct);
    }

    /// <summary>The run's end, which is the job's.</summary>
    /// <param name="version">What the training made; null when it was cancelled before.</param>
    public Task EndAsync(string tenant, TrainingJob job, int? version, CancellationToken ct) =>
        runs.UpdateAsync(tenant, job.JobId(), version is null ? "KILLED" : "FINISHED", time.GetUtcNow().ToUnixTimeMilliseconds(), version is { } made ? $"{job.Asked.Model} version {made}" : null, ct);

    private static IEnumerable<(string Key, double Value)> Metrics(TrainedModel trained)
    {
        yield return ("rmse", trained.Metrics.Rmse);
        yield return ("mae", trained.Metrics.Mae);
        yield return ("r2", trained.Metrics.R2);
        if (trained.Metrics.Mape is { } mape) yield return ("mape", mape);
        if (trained.Metrics.Coverage is { } coverage) yield return ("coverage", coverage);
        yield return ("baseline_rmse", trained.Baseline.Rmse);
    }

    private static IEnumerable<Pair> Parameters(TrainingJob job, TrainedModel trained)
    {
        yield return new("algorithm", trained.Algorithm);
        yield return new("dataset", job.Asked.Dataset);
        yield return new("target", job.Asked.Target);
        yield return new("seed", job.Asked.Seed.ToString(CultureInfo.InvariantCulture));
        yield return new("test_fraction", job.Asked.TestFraction.ToString(CultureInfo.InvariantCulture));
        if (trained.Split.TimeColumn is { } column) yield return new("time_column", column);
        yield return new("columns", trained.Columns.Count.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>The experiment in use under this name; a new one where there is none.</summary>
    private async Task<long> ExperimentAsync(string tenant, string name, CancellationToken ct)
    {
        if (await experiments.FindAsync(tenant, name, ct) is { Deleted: false } found) return found.Id;
        var made = await experiments.CreateAsync(tenant, name, null, new Dictionary<string, string>(), ct);
        // Another training made it meanwhile.
        return made.IsOk ? made.Value.Id : (await experiments.FindAsync(tenant, name, ct))!.Id;
    }

    private async Task PutAsync(string tenant, string path, byte[] content, CancellationToken ct)
    {
        using var stream = new MemoryStream(content, writable: false);
        await artifacts.PutAsync(tenant, path, stream, limits.MaxArtifactBytes, ct);
    }
}
