using JasperFx.Events;
using Marten.Events.Projections;
using Platform.Registry.Contracts;
using Platform.Registry.Onnx;
using Platform.Registry.Training;

namespace Platform.Registry.Models;

internal sealed record ModelRegistered(string? Description);

/// <summary>Everything that is known of a version, which never changes again.</summary>
/// <param name="Author">Who uploaded it or asked for its training; the four-eyes rule looks at this.</param>
/// <param name="Calibration">Null for an upload: its answers then have no interval.</param>
/// <param name="Metrics">Of the version on the test rows; null for an upload.</param>
/// <param name="Training">How it was trained; null for an upload.</param>
internal sealed record VersionAdded(
    int Version,
    VersionSource Source,
    string Author,
    string? Description,
    string ArtifactSha256,
    long ArtifactBytes,
    ModelSignature Signature,
    IReadOnlyList<ColumnSpec> Columns,
    string? PredictionOutput,
    ConformalTable? Calibration,
    OnnxFacts Facts,
    TrainingMetrics? Metrics,
    TrainingRecord? Training);

/// <param name="ApprovalId">The approval that opened the gate; null where the alias has none.</param>
internal sealed record ModelAliasMoved(string Alias, int Version, Guid? ApprovalId);

internal sealed record ModelAliasRemoved(string Alias);

internal sealed record ModelTagsChanged(IReadOnlyDictionary<string, string> Tags);

internal enum VersionSource
{
    Upload,
    Training,
}

/// <summary>What a version keeps of its training.</summary>
/// <param name="LogSha256">The training log, a text blob of the tenant.</param>
internal sealed record TrainingRecord(
    Guid Job, string Dataset, string DatasetSha256, string Target, string Algorithm, TrainingMetrics Baseline, SplitDescription Split,
    ParityReport Parity, string LogSha256);

/// <summary>A model by name: its tags, its aliases and how many versions it has. The versions themselves are <see cref="ModelVersion"/>s,
/// so that moving an alias does not load them all.</summary>
internal sealed record RegisteredModel(
    string Id, string? Description, DateTimeOffset RegisteredAt, string RegisteredBy, int LatestVersion,
    IReadOnlyDictionary<string, int> Aliases, IReadOnlyDictionary<string, string> Tags)
{
    public string Name => Id["model:".Length..];

    public static string Key(string name) => $"model:{name}";

    public static RegisteredModel Create(IEvent<ModelRegistered> registered) => new(
        registered.StreamKey!, registered.Data.Description, registered.Timestamp, registered.UserName ?? "system", 0,
        new Dictionary<string, int>(), new Dictionary<string, string>());

    public RegisteredModel Apply(VersionAdded added) => this with { LatestVersion = added.Version };

    public RegisteredModel Apply(ModelAliasMoved moved) => this with { Aliases = new Dictionary<string, int>(Aliases) { [moved.Alias] = moved.Version } };

    public RegisteredModel Apply(ModelAliasRemoved removed) => this with { Aliases = Aliases.Where(a => a.Key != removed.Alias).ToDictionary() };

    public RegisteredModel Apply(ModelTagsChanged changed) => this with { Tags = changed.Tags };
}

/// <summary>One version for reading, kept current in the same transaction as the event it is made of.</summary>
internal sealed record ModelVersion(string Id, string Model, DateTimeOffset AddedAt, VersionAdded Facts)
{
    public static string Key(string model, int version) => $"{model}/{version}";

    public ServableVersion Servable() => new(
        Model, Facts.Version, Facts.ArtifactSha256, Facts.ArtifactBytes, Facts.Signature, Facts.Columns, Facts.PredictionOutput, Facts.Calibration);
}

/// <summary>One <see cref="ModelVersion"/> for each version added.</summary>
internal sealed partial class ModelVersions : EventProjection
{
    public static ModelVersion Create(IEvent<VersionAdded> added)
    {
        var model = added.StreamKey!["model:".Length..];
        return new(ModelVersion.Key(model, added.Data.Version), model, added.Timestamp, added.Data);
    }
}
