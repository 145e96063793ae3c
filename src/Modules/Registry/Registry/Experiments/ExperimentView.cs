using Platform.Registry.Runs;
using Platform.Registry.Tracking;

namespace Platform.Registry.Experiments;

/// <summary>An experiment as the API shows it.</summary>
/// <param name="Runs">Those that are not deleted, counted up to 10,000.</param>
/// <param name="LastRunAt">When the latest of them began; null where there is none.</param>
internal sealed record ExperimentView(
    long Id, string Name, string ArtifactLocation, DateTimeOffset CreatedAt, IReadOnlyDictionary<string, string> Tags, bool Deleted, long Runs, DateTimeOffset? LastRunAt)
{
    public static ExperimentView Of(CountedExperiment counted) => new(
        counted.Experiment.Id, counted.Experiment.Name, counted.Experiment.ArtifactLocation, RunView.At(counted.Experiment.CreatedAt), counted.Experiment.Tags, counted.Experiment.Deleted,
        counted.Runs, counted.LastRun is { } last ? RunView.At(last) : null);
}
