using Platform.Registry.Contracts;
using Platform.Registry.Onnx;
using Platform.Registry.Training;

namespace Platform.Registry.Models;

/// <summary>A model as the API and the pages show it.</summary>
/// <param name="Aliases">Version number by alias.</param>
/// <param name="LatestVersion">0 while it has none.</param>
internal sealed record ModelView(
    string Name, string? Description, IReadOnlyDictionary<string, string> Tags, IReadOnlyDictionary<string, int> Aliases, int LatestVersion, DateTimeOffset RegisteredAt, string RegisteredBy)
{
    public static ModelView Of(RegisteredModel m) => new(m.Name, m.Description, m.Tags, m.Aliases, m.LatestVersion, m.RegisteredAt, m.RegisteredBy);
}

/// <summary>A version in a list.</summary>
/// <param name="Metrics">On the test rows, when it was trained here.</param>
internal sealed record VersionSummary(
    int Version, VersionSource Source, IReadOnlyList<string> Aliases, string Author, DateTimeOffset AddedAt, long ArtifactBytes, TrainingMetrics? Metrics)
{
    public static VersionSummary Of(ModelVersion v, RegisteredModel model) => new(
        v.Facts.Version, v.Facts.Source, VersionView.AliasesOf(model, v), v.Facts.Author, v.AddedAt, v.Facts.ArtifactBytes, v.Facts.Metrics);
}

/// <summary>A version with everything that is known of it.</summary>
/// <param name="Columns">Named input columns when the model is a table's; else empty, and it is asked by tensors.</param>
/// <param name="PredictionOutput">The output that is the prediction of the friendly call.</param>
/// <param name="Calibration">The interval table; null when there is none.</param>
/// <param name="Metrics">On rows held out from training; null for an upload.</param>
internal sealed record VersionView(
    string Model, int Version, VersionSource Source, IReadOnlyList<string> Aliases, string Author, DateTimeOffset AddedAt, string? Description,
    string ArtifactSha256, long ArtifactBytes, ModelSignature Signature, IReadOnlyList<ColumnSpec> Columns, string? PredictionOutput,
    ConformalTable? Calibration, OnnxFacts Facts, TrainingMetrics? Metrics, TrainingRecord? Training)
{
    public static VersionView Of(ModelVersion v, RegisteredModel model) => new(
        v.Model, v.Facts.Version, v.Facts.Source, AliasesOf(model, v), v.Facts.Author, v.AddedAt, v.Facts.Description, v.Facts.ArtifactSha256,
        v.Facts.ArtifactBytes, v.Facts.Signature, v.Facts.Columns, v.Facts.PredictionOutput, v.Facts.Calibration, v.Facts.Facts, v.Facts.Metrics, v.Facts.Training);

    public static IReadOnlyList<string> AliasesOf(RegisteredModel model, ModelVersion version) =>
        [.. model.Aliases.Where(a => a.Value == version.Facts.Version).Select(a => a.Key).Order(StringComparer.Ordinal)];
}
