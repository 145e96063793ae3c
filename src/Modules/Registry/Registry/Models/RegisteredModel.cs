using System.Text.Json.Serialization;
using JasperFx;
using JasperFx.Events;
using Marten;
using Marten.Events.Projections;
using Platform.Registry.Contracts;
using Platform.Registry.Intake;
using Platform.Registry.Onnx;
using Platform.Registry.Sharing;
using Platform.Registry.Training;

namespace Platform.Registry.Models;

internal sealed record ModelRegistered(string? Description);

/// <summary>Everything that is known of a version, which never changes again.</summary>
/// <param name="Author">Who uploaded it or asked for its training; the four-eyes rule looks at this.</param>
/// <param name="Calibration">Null for an upload: its answers then have no interval.</param>
/// <param name="Metrics">Of the version on the test rows; null for an upload.</param>
/// <param name="Training">How it was trained; null for an upload.</param>
/// <param name="Kind">Absent in older events, which are of ONNX files.</param>
/// <param name="Composite">What it is made of, when it is made of other versions.</param>
/// <param name="Mlflow">Where it came from, when a client of MLflow made it.</param>
/// <param name="Tags">What it was tagged with when it was made.</param>
/// <param name="Stage">Of MLflow's old stages, when it had one already.</param>
/// <param name="Intake">What was noticed and measured when it was taken in; null for one that was made here, and for those from before this was kept.</param>
/// <param name="Base">The version of another tenant that it was derived from.</param>
/// <param name="Customisation">How it was fitted to its tenant's own rows.</param>
/// <param name="Rules">What its owner has hold on every prediction it makes, in order; null when nothing does.</param>
/// <param name="AddedAt">When it was first added, for one that came along with a model's new name.</param>
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
    TrainingRecord? Training,
    ArtifactKind Kind = ArtifactKind.Onnx,
    CompositeFacts? Composite = null,
    MlflowOrigin? Mlflow = null,
    IReadOnlyDictionary<string, string>? Tags = null,
    string? Stage = null,
    DateTimeOffset? AddedAt = null,
    IntakeReport? Intake = null,
    BaseVersion? Base = null,
    Customisation? Customisation = null,
    IReadOnlyList<VersionRule>? Rules = null);

/// <param name="Source">The address the version was made from, as the client gave it.</param>
/// <param name="Folder">Where the version's own files are, which are those of the source as they were then; null when they are elsewhere.</param>
/// <param name="WhyNotServed">Why the platform cannot serve it; null when it can.</param>
/// <param name="ModelId">The logged model it was made from.</param>
internal sealed record MlflowOrigin(string Source, string? RunId, string? RunLink, string? Folder, string? WhyNotServed, string? ModelId = null);

/// <param name="ApprovalId">The approval that opened the gate; null where the alias has none.</param>
internal sealed record ModelAliasMoved(string Alias, int Version, Guid? ApprovalId);

internal sealed record ModelAliasRemoved(string Alias);

internal sealed record ModelTagsChanged(IReadOnlyDictionary<string, string> Tags);

internal sealed record ModelDescribed(string? Description);

/// <summary>The model and all its versions are gone. Its name may be registered again; the numbers of its versions are not used again.</summary>
/// <param name="RenamedTo">The name under which it lives on; null when it does not.</param>
internal sealed record ModelDeleted(string? RenamedTo);

internal sealed record VersionDescribed(int Version, string? Description);

internal sealed record VersionTagsChanged(int Version, IReadOnlyDictionary<string, string> Tags);

/// <param name="Stage">One of MLflow's: None, Staging, Production, Archived. The platform does not act on it.</param>
internal sealed record VersionStageChanged(int Version, string Stage);

internal sealed record VersionDeleted(int Version);

internal enum VersionSource
{
    Upload,
    Training,
    /// <summary>It lives on another server.</summary>
    Remote,
    /// <summary>It is made of other versions.</summary>
    Composite,
    /// <summary>A client of MLflow made it from a run's artifacts.</summary>
    Mlflow,
    /// <summary>It was derived from a version that another tenant shares.</summary>
    Derived,
}

/// <param name="Depth">1 when no member is a composite itself.</param>
/// <param name="Runs">Runs of models that one answer takes, those of composites inside it counted.</param>
internal sealed record CompositeFacts(CompositeKind Kind, int Depth, int Runs, IReadOnlyList<MemberFacts> Members);

/// <param name="Weight">Its share of the mean, of 1 for all together; null in a sequence.</param>
/// <param name="Inputs">Where each of its inputs comes from.</param>
internal sealed record MemberFacts(string Model, int Version, double? Weight, IReadOnlyDictionary<string, string> Inputs);

/// <summary>What a version keeps of its training.</summary>
/// <param name="LogSha256">The training log, a text blob of the tenant.</param>
internal sealed record TrainingRecord(
    Guid Job, string Dataset, string DatasetSha256, string Target, string Algorithm, TrainingMetrics Baseline, SplitDescription Split,
    ParityReport Parity, string LogSha256);

/// <summary>A model by name: its tags, its aliases and how many versions it has. The versions themselves are <see cref="ModelVersion"/>s,
/// so that moving an alias does not load them all.</summary>
internal sealed record RegisteredModel(
    string Id, string? Description, DateTimeOffset RegisteredAt, string RegisteredBy, int LatestVersion,
    IReadOnlyDictionary<string, int> Aliases, IReadOnlyDictionary<string, string> Tags) : IRevisioned
{
    /// <summary>The stream's revision, set by the store.</summary>
    public int Version { get; set; }

    /// <summary>It keeps its stream, so that its name and numbers are known. Read models with <see cref="ModelReads"/>, which leaves these out.</summary>
    [JsonIgnore]
    public bool Deleted => DeletedAt is not null;

    public DateTimeOffset? DeletedAt { get; init; }

    /// <summary>When anything about it was last changed; unknown for one that was not since this is kept.</summary>
    public DateTimeOffset? ChangedAt { get; init; }

    public string Name => Id["model:".Length..];

    public static string Key(string name) => $"model:{name}";

    public static RegisteredModel Create(IEvent<ModelRegistered> registered) => new(
        registered.StreamKey!, registered.Data.Description, registered.Timestamp, registered.UserName ?? "system", 0,
        new Dictionary<string, int>(), new Dictionary<string, string>())
    { ChangedAt = registered.Timestamp };

    /// <summary>The name is used again after the model that had it was deleted.</summary>
    public RegisteredModel Apply(IEvent<ModelRegistered> registered) => Create(registered) with { LatestVersion = LatestVersion, Version = Version };

    public RegisteredModel Apply(IEvent<VersionAdded> added) => this with { LatestVersion = added.Data.Version, ChangedAt = added.Timestamp };

    public RegisteredModel Apply(IEvent<ModelDescribed> described) => this with { Description = described.Data.Description, ChangedAt = described.Timestamp };

    public RegisteredModel Apply(IEvent<ModelDeleted> deleted) => this with { DeletedAt = deleted.Timestamp, Aliases = new Dictionary<string, int>(), ChangedAt = deleted.Timestamp };

    public RegisteredModel Apply(ModelAliasMoved moved) => this with { Aliases = new Dictionary<string, int>(Aliases) { [moved.Alias] = moved.Version } };

    public RegisteredModel Apply(ModelAliasRemoved removed) => this with { Aliases = Aliases.Where(a => a.Key != removed.Alias).ToDictionary() };

    public RegisteredModel Apply(ModelTagsChanged changed) => this with { Tags = changed.Tags };
}

/// <summary>Reading models that are not deleted.</summary>
internal static class ModelReads
{
    public static async Task<RegisteredModel?> FindModelAsync(this IQuerySession session, string name, CancellationToken ct) =>
        await session.LoadAsync<RegisteredModel>(RegisteredModel.Key(name), ct) is { Deleted: false } model ? model : null;

    /// <summary>The documents of these keys in the keys' order, those that are there.</summary>
    public static async Task<IReadOnlyList<T>> LoadInOrderAsync<T>(this IQuerySession session, IReadOnlyList<string> keys, Func<T, string> key, CancellationToken ct) where T : notnull
    {
        var found = (await session.LoadManyAsync<T>(ct, keys.ToArray())).ToDictionary(key);
        return [.. keys.Where(found.ContainsKey).Select(k => found[k])];
    }

    /// <summary>The versions that were registered from a run's files, or that the training it is the log of has made.</summary>
    public static Task<IReadOnlyList<ModelVersion>> MadeByRunAsync(this IQuerySession session, Guid run, CancellationToken ct)
    {
        var id = run.ToString("N");
        return session.Query<ModelVersion>().Where(version => version.Facts.Mlflow!.RunId == id || version.Facts.Training!.Job == run).ToListAsync(ct);
    }
}

/// <summary>One version for reading, kept current in the same transaction as the event it is made of.</summary>
internal sealed record ModelVersion(string Id, string Model, DateTimeOffset AddedAt, VersionAdded Facts)
{
    private readonly string? described;

    /// <summary>The description in force; the version's first one until it is changed.</summary>
    public string? Description { get => described ?? Facts.Description; init => described = value; }

    public IReadOnlyDictionary<string, string> Tags { get; init; } = Facts.Tags ?? new Dictionary<string, string>();

    public string Stage { get; init; } = Facts.Stage ?? "None";

    /// <summary>When it was last changed; unknown where it never was.</summary>
    public DateTimeOffset? ChangedAt { get; init; }

    public static string Key(string model, int version) => $"{model}/{version}";

    /// <summary>It is there to be seen and takes no alias, is in no endpoint and no composite, and its artifact is not given out.</summary>
    [JsonIgnore]
    public bool IsQuarantined => Facts.Intake is { IsQuarantined: true };

    /// <summary>Why it cannot be served; null when it can.</summary>
    [JsonIgnore]
    public string? WhyNotServed => IsQuarantined ? $"it is quarantined. {Facts.Intake!.Why}" : Facts.Kind is ArtifactKind.Folder ? Facts.Mlflow?.WhyNotServed ?? "it is a folder of files." : null;

    /// <summary>What serving needs; null when the version is kept but cannot be served.</summary>
    public ServableVersion? Servable() => WhyNotServed is not null ? null : new(
        Model, Facts.Version, Facts.ArtifactSha256, Facts.ArtifactBytes, Facts.Signature, Facts.Columns, Facts.PredictionOutput, Facts.Calibration, Facts.Kind, Facts.Rules);
}

/// <summary>One <see cref="ModelVersion"/> for each version there is.</summary>
internal sealed partial class ModelVersions : EventProjection
{
    public static ModelVersion Create(IEvent<VersionAdded> added)
    {
        var model = ModelOf(added);
        return new(ModelVersion.Key(model, added.Data.Version), model, added.Data.AddedAt ?? added.Timestamp, added.Data);
    }

    public static Task Project(IEvent<VersionDescribed> described, IDocumentOperations operations) =>
        ChangeAsync(operations, described, described.Data.Version, version => version with { Description = described.Data.Description ?? "" });

    public static Task Project(IEvent<VersionTagsChanged> changed, IDocumentOperations operations) =>
        ChangeAsync(operations, changed, changed.Data.Version, version => version with { Tags = changed.Data.Tags });

    public static Task Project(IEvent<VersionStageChanged> changed, IDocumentOperations operations) =>
        ChangeAsync(operations, changed, changed.Data.Version, version => version with { Stage = changed.Data.Stage });

    public static async Task Project(IEvent<VersionShared> shared, IDocumentOperations operations)
    {
        var model = ModelOf(shared);
        if (await operations.LoadAsync<ModelVersion>(ModelVersion.Key(model, shared.Data.Version)) is not { } version) return;
        Publications.Publish(operations, shared.TenantId, model, shared.Data, PublishedFacts.Of(version), shared.Timestamp);
    }

    public static void Project(IEvent<VersionUnshared> unshared, IDocumentOperations operations) =>
        Publications.Withdraw(operations, unshared.TenantId, ModelOf(unshared), unshared.Data.Version, unshared.Timestamp);

    public static void Project(IEvent<VersionDeleted> deleted, IDocumentOperations operations)
    {
        operations.Delete<ModelVersion>(ModelVersion.Key(ModelOf(deleted), deleted.Data.Version));
        Publications.Withdraw(operations, deleted.TenantId, ModelOf(deleted), deleted.Data.Version, deleted.Timestamp);
    }

    public static void Project(IEvent<ModelDeleted> deleted, IDocumentOperations operations)
    {
        var model = ModelOf(deleted);
        operations.DeleteWhere<ModelVersion>(version => version.Model == model);
        Publications.Withdraw(operations, deleted.TenantId, model, null, deleted.Timestamp);
    }

    private static async Task ChangeAsync(IDocumentOperations operations, IEvent changed, int version, Func<ModelVersion, ModelVersion> change)
    {
        var key = ModelVersion.Key(ModelOf(changed), version);
        // Several events that are saved together change one document, and the database does not have it yet.
        var found = (operations as IDocumentSession)?.PendingChanges.AllChangedFor<ModelVersion>().LastOrDefault(pending => pending.Id == key) ?? await operations.LoadAsync<ModelVersion>(key);
        if (found is not null) operations.Store(change(found) with { ChangedAt = changed.Timestamp });
    }

    private static string ModelOf(IEvent of) => of.StreamKey!["model:".Length..];
}
