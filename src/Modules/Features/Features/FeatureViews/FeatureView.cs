using System.Text.Json.Serialization;
using JasperFx;
using JasperFx.Events;
using Platform.Features.Contracts;
using Platform.Features.Datasets;
using Platform.Kernel;

namespace Platform.Features.FeatureViews;

internal sealed record FeatureViewCreated(string Entity, string Dataset, string KeyColumn, IReadOnlyList<string> Features, string? TimestampColumn);

/// <summary>The online store now answers with the values of this dataset version.</summary>
/// <param name="Keys">How many things it knows.</param>
/// <param name="Skipped">Rows without a key, or with one that is too long for the store.</param>
internal sealed record FeatureViewMaterialised(int DatasetVersion, string ContentSha256, long Keys, long Skipped);

internal sealed record FeatureViewDeleted;

/// <summary>Columns of a dataset that describe an entity: per key the values of its latest row. The online store answers them by key.</summary>
internal sealed record FeatureView(
    string Id, string Entity, string Dataset, string KeyColumn, IReadOnlyList<string> Features, string? TimestampColumn,
    DateTimeOffset CreatedAt, string CreatedBy, Materialised? Materialised, bool Deleted) : IRevisioned
{
    /// <summary>The stream's revision, set by the store.</summary>
    public int Version { get; set; }

    private const string Prefix = "feature-view:";

    public static string Key(string name) => Prefix + name;

    public string Name() => Id[Prefix.Length..];

    public static FeatureView Create(IEvent<FeatureViewCreated> e) => new(
        e.StreamKey!, e.Data.Entity, e.Data.Dataset, e.Data.KeyColumn, e.Data.Features, e.Data.TimestampColumn, e.Timestamp, e.UserName ?? "system", null, Deleted: false);

    public FeatureView Apply(IEvent<FeatureViewCreated> again) => Create(again) with { Id = Id };

    public FeatureView Apply(IEvent<FeatureViewMaterialised> e) => this with { Materialised = new(e.Data.DatasetVersion, e.Data.ContentSha256, e.Data.Keys, e.Data.Skipped, e.Timestamp) };

    public FeatureView Apply(FeatureViewDeleted _) => this with { Deleted = true, Materialised = null };

    /// <summary>Whether the dataset still has what the view is made of; the refusal names the first column that is amiss.</summary>
    public static Refusal? Judge(IReadOnlyList<DatasetColumn> columns, string keyColumn, IReadOnlyList<string> features, string? timestampColumn)
    {
        if (Find(keyColumn) is not { } key) return Unknown(keyColumn, "keyColumn");
        if (key.Type is DatasetColumnType.Number or DatasetColumnType.Boolean)
        {
            return Refusal.Invalid("unfit-key", $"The column '{keyColumn}' holds values of type {key.Type}, which name nothing.", "keyColumn", "Choose a column of texts or whole numbers.");
        }

        if (features.FirstOrDefault(f => Find(f) is null) is { } missing) return Unknown(missing, "features");
        if (timestampColumn is null) return null;
        if (Find(timestampColumn) is not { } timestamp) return Unknown(timestampColumn, "timestampColumn");
        return timestamp.Type is DatasetColumnType.Date
            ? null
            : Refusal.Invalid("not-a-date", $"The column '{timestampColumn}' holds values of type {timestamp.Type} and no dates.", "timestampColumn", "Choose a column of dates, or leave it out: then a key's last row counts.");

        DatasetColumn? Find(string name) => columns.FirstOrDefault(c => c.Name == name);

        Refusal Unknown(string name, string field) => Refusal.Invalid(
            "unknown-column", $"The dataset has no column '{name}'.", field, $"It has: {string.Join(", ", columns.Select(c => c.Name).Take(30))}{(columns.Count > 30 ? ", …" : "")}.");
    }
}

/// <summary>What the online store holds of a view, and since when.</summary>
internal sealed record Materialised(int DatasetVersion, string ContentSha256, long Keys, long Skipped, DateTimeOffset At);

internal enum MaterialisationStatus
{
    Queued,
    Running,
    Succeeded,
    Failed,
}

/// <summary>How far the latest materialisation of a view is. Overwritten in place: nobody will ask next year how far it was.</summary>
/// <param name="Run">Tells one request from the next, so that an abandoned job does not go on under a newer one.</param>
internal sealed record MaterialisationRun(
    string Id, Guid Run, MaterialisationStatus Status, double Progress, string Doing, DateTimeOffset RequestedAt, DateTimeOffset UpdatedAt, MaterialisationFailure? Failure)
{
    public bool HasEnded => Status is MaterialisationStatus.Succeeded or MaterialisationStatus.Failed;
}

internal sealed record MaterialisationFailure(string Code, string Detail, string? Field, string? Mend);

/// <summary>A feature view as the API and the pages show it.</summary>
/// <param name="Features">With the types of the dataset version that is materialised, else of the newest.</param>
/// <param name="Materialised">What look-ups answer from; null before the first materialisation.</param>
/// <param name="Materialisation">The latest run, which may be under way.</param>
internal sealed record FeatureViewView(
    string Name, string Entity, string Dataset, string KeyColumn, string? TimestampColumn, IReadOnlyList<DatasetColumn> Features,
    DateTimeOffset CreatedAt, string CreatedBy, Materialised? Materialised, MaterialisationView? Materialisation) : IHasRevision
{
    [JsonIgnore]
    public long Revision { get; init; }

    public static FeatureViewView Of(FeatureView view, DatasetProfile? profile, MaterialisationRun? run) => new(
        view.Name(), view.Entity, view.Dataset, view.KeyColumn, view.TimestampColumn, FeaturesOf(view, profile), view.CreatedAt, view.CreatedBy, view.Materialised,
        run is null ? null : MaterialisationView.Of(run))
    { Revision = view.Version };

    public static IReadOnlyList<DatasetColumn> FeaturesOf(FeatureView view, DatasetProfile? profile) =>
        profile is null ? [] : [.. profile.Schema().IntersectBy(view.Features, c => c.Name)];
}

/// <summary>One run of a materialisation.</summary>
/// <param name="Progress">From 0 to 1.</param>
/// <param name="Doing">What it is doing now, for a person.</param>
/// <param name="Failure">Why it ended without a result; what was there before still answers.</param>
internal sealed record MaterialisationView(MaterialisationStatus Status, double Progress, string Doing, DateTimeOffset RequestedAt, DateTimeOffset UpdatedAt, MaterialisationFailure? Failure)
{
    public static MaterialisationView Of(MaterialisationRun run) => new(run.Status, run.Progress, run.Doing, run.RequestedAt, run.UpdatedAt, run.Failure);
}
