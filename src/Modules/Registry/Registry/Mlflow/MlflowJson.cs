using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Platform.Registry.Tracking;

namespace Platform.Registry.Mlflow;

/// <summary>How the dialect writes: snake case, whole numbers as numbers, NaN and the infinities as texts, and nothing where nothing is set.</summary>
internal static class MlflowJson
{
    public static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>A list, or nothing when it is empty.</summary>
    public static IReadOnlyList<T>? Unless<T>(IReadOnlyList<T> list) => list.Count == 0 ? null : list;

    public static IReadOnlyList<Pair>? Pairs(IReadOnlyDictionary<string, string> tags) => Unless<Pair>([.. tags.OrderBy(t => t.Key, StringComparer.Ordinal).Select(t => new Pair(t.Key, t.Value))]);

    public static object Of(Experiment e) => new
    {
        ExperimentId = e.Id.ToString(),
        e.Name,
        e.ArtifactLocation,
        LifecycleStage = e.Deleted ? "deleted" : "active",
        LastUpdateTime = e.UpdatedAt,
        CreationTime = e.CreatedAt,
        Tags = Pairs(e.Tags),
    };

    public static object Of(RunInfo r) => new
    {
        RunUuid = r.Id.ToString("N"),
        RunId = r.Id.ToString("N"),
        RunName = r.Name,
        ExperimentId = r.ExperimentId.ToString(),
        r.UserId,
        r.Status,
        r.StartTime,
        r.EndTime,
        r.ArtifactUri,
        LifecycleStage = r.Deleted ? "deleted" : "active",
    };

    public static object Of(Run run) => new
    {
        Info = Of(run.Info),
        Data = new { Metrics = Unless(run.Metrics), Params = Unless(run.Params), Tags = Unless(run.Tags) },
        Inputs = new
        {
            DatasetInputs = Unless<object>([.. run.Inputs.Select(i => new { Tags = Unless(i.Tags), Dataset = new { i.Name, i.Digest, i.SourceType, i.Source, i.Schema, i.Profile } })]),
            ModelInputs = Unless<object>([.. run.Models.Where(m => !m.IsOutput).Select(m => new { m.ModelId })]),
        },
        Outputs = run.Models.Any(m => m.IsOutput) ? new { ModelOutputs = run.Models.Where(m => m.IsOutput).Select(m => new { m.ModelId, m.Step }) } : null,
    };
}
