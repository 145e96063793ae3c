using Platform.Registry.Tracking;

namespace Platform.Registry.Runs;

/// <summary>A run as the API shows it.</summary>
/// <param name="Metrics">The latest value of each; NaN and the infinities, which JSON has no numbers for, are left out.</param>
internal sealed record RunView(
    string Id, long Experiment, string Name, string User, string Status, DateTimeOffset StartedAt, DateTimeOffset? EndedAt, bool Deleted, string ArtifactUri,
    IReadOnlyDictionary<string, double> Metrics, IReadOnlyDictionary<string, string> Parameters, IReadOnlyDictionary<string, string> Tags,
    IReadOnlyList<RunDatasetView> Datasets, IReadOnlyList<RunModelView> Models)
{
    public static RunView Of(Run run) => new(
        run.Info.Id.ToString("N"), run.Info.ExperimentId, run.Info.Name, run.Info.UserId, run.Info.Status, At(run.Info.StartTime), run.Info.EndTime is { } end ? At(end) : null, run.Info.Deleted,
        run.Info.ArtifactUri, run.Metrics.Where(m => double.IsFinite(m.Value)).ToDictionary(m => m.Key, m => m.Value), run.Params.ToDictionary(p => p.Key, p => p.Value), run.Tags.ToDictionary(t => t.Key, t => t.Value),
        [.. run.Inputs.Select(i => new RunDatasetView(i.Name, i.Digest, i.SourceType, i.Source, i.Tags.FirstOrDefault(t => t.Key == RunStore.ContextTag)?.Value))],
        [.. run.Models.Select(m => new RunModelView(m.ModelId, m.IsOutput, m.Step))]);

    /// <summary>Clients send what they like for a time; what is out of a calendar's range is its end.</summary>
    public static DateTimeOffset At(long milliseconds) => DateTimeOffset.FromUnixTimeMilliseconds(Math.Clamp(milliseconds, -62_135_596_800_000, 253_402_300_799_999));
}

/// <summary>A dataset that a run used.</summary>
/// <param name="Context">What for, such as <c>training</c>.</param>
internal sealed record RunDatasetView(string Name, string Digest, string SourceType, string Source, string? Context);

/// <summary>A logged model that a run made, at a step, or used.</summary>
internal sealed record RunModelView(string Id, bool IsOutput, long Step);
