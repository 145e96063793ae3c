using System.Text.Json.Serialization;
using Platform.Kernel;
using Platform.Registry.Contracts;
using Platform.Registry.Intake;
using Platform.Registry.Onnx;
using Platform.Registry.Sharing;
using Platform.Registry.Training;

namespace Platform.Registry.Models;

/// <summary>A model as the API and the pages show it.</summary>
/// <param name="Aliases">Version number by alias.</param>
/// <param name="LatestVersion">0 while it has none.</param>
internal sealed record ModelView(
    string Name, string? Description, IReadOnlyDictionary<string, string> Tags, IReadOnlyDictionary<string, int> Aliases, int LatestVersion, DateTimeOffset RegisteredAt, string RegisteredBy) : IHasRevision
{
    [JsonIgnore]
    public long Revision { get; init; }

    public static ModelView Of(RegisteredModel m) => new(m.Name, m.Description, m.Tags, m.Aliases, m.LatestVersion, m.RegisteredAt, m.RegisteredBy) { Revision = m.Version };
}

internal enum VersionStatus
{
    Ready,
    /// <summary>It was found wanting when it was taken in: it is there to be seen, and for nothing else.</summary>
    Quarantined,
}

/// <summary>A version in a list.</summary>
/// <param name="Metrics">On the test rows, when it was trained here.</param>
/// <param name="Stage">Of MLflow's old stages; None where it has none.</param>
/// <param name="Run">The run whose files it was made from, when it was made from one.</param>
internal sealed record VersionSummary(
    int Version, VersionSource Source, IReadOnlyList<string> Aliases, string Author, DateTimeOffset AddedAt, long ArtifactBytes, TrainingMetrics? Metrics, VersionStatus Status,
    string Stage, IReadOnlyDictionary<string, string> Tags, string? Run)
{
    public static VersionSummary Of(ModelVersion v, RegisteredModel model) => new(
        v.Facts.Version, v.Facts.Source, VersionView.AliasesOf(model, v), v.Facts.Author, v.AddedAt, v.Facts.ArtifactBytes, v.Facts.Metrics, VersionView.StatusOf(v), v.Stage, v.Tags, v.Facts.Mlflow?.RunId);
}

/// <summary>A version with everything that is known of it.</summary>
/// <param name="Columns">Named input columns when the model is a table's; else empty, and it is asked by tensors.</param>
/// <param name="PredictionOutput">The output that is the prediction of the friendly call.</param>
/// <param name="Calibration">The interval table; null when there is none.</param>
/// <param name="Metrics">On rows held out from training; null for an upload.</param>
/// <param name="Kind">What the artifact is, and so which runtime serves it.</param>
/// <param name="Composite">The versions it is made of; null when it is none of those.</param>
/// <param name="Mlflow">Where it came from, when a client of MLflow made it, and why it cannot be served, when it cannot.</param>
/// <param name="Intake">What was noticed when it was taken in (reasons for quarantine, warnings), what its example took of time and memory, and who signed it.</param>
/// <param name="Base">The shared version that it was derived from, and whose.</param>
/// <param name="Customisation">How it was fitted to the tenant's own rows.</param>
/// <param name="Rules">What holds on every prediction it makes, in order.</param>
internal sealed record VersionView(
    string Model, int Version, VersionSource Source, IReadOnlyList<string> Aliases, string Author, DateTimeOffset AddedAt, string? Description,
    string ArtifactSha256, long ArtifactBytes, ModelSignature Signature, IReadOnlyList<ColumnSpec> Columns, string? PredictionOutput,
    ConformalTable? Calibration, OnnxFacts Facts, TrainingMetrics? Metrics, TrainingRecord? Training, ArtifactKind Kind, CompositeFacts? Composite, MlflowOrigin? Mlflow,
    VersionStatus Status, IntakeReport? Intake, BaseVersion? Base, Customisation? Customisation, IReadOnlyList<VersionRule> Rules, string Stage, IReadOnlyDictionary<string, string> Tags)
{
    public static VersionView Of(ModelVersion v, RegisteredModel model) => new(
        v.Model, v.Facts.Version, v.Facts.Source, AliasesOf(model, v), v.Facts.Author, v.AddedAt, v.Description, v.Facts.ArtifactSha256,
        v.Facts.ArtifactBytes, v.Facts.Signature, v.Facts.Columns, v.Facts.PredictionOutput, v.Facts.Calibration, v.Facts.Facts, v.Facts.Metrics, v.Facts.Training, v.Facts.Kind, v.Facts.Composite, v.Facts.Mlflow,
        StatusOf(v), v.Facts.Intake, v.Facts.Base, v.Facts.Customisation, v.Facts.Rules ?? [], v.Stage, v.Tags);

    public static VersionStatus StatusOf(ModelVersion version) => version.IsQuarantined ? VersionStatus.Quarantined : VersionStatus.Ready;

    public static IReadOnlyList<string> AliasesOf(RegisteredModel model, ModelVersion version) =>
        [.. model.Aliases.Where(a => a.Value == version.Facts.Version).Select(a => a.Key).Order(StringComparer.Ordinal)];
}
