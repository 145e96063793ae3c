using System.Text.Json.Serialization;
using JasperFx;
using JasperFx.Events;
using Marten;
using Platform.Features.Contracts;
using Platform.Features.Datasets.Csv;
using Platform.Kernel;

namespace Platform.Features.Datasets;

/// <summary>A file was read and kept. Values of its rows stand in the blobs and in <see cref="DatasetProfile"/>, which can be erased, and never here.</summary>
/// <param name="Number">The dataset version, from 1; it is never used twice, not even after the dataset was deleted.</param>
/// <param name="QuarantineSha256">Null when every row was accepted.</param>
internal sealed record DatasetUploaded(
    int Number, string ContentSha256, string OriginalSha256, string? QuarantineSha256, long Bytes, long OriginalBytes, long Rows, long Quarantined,
    string Encoding, char Delimiter, IReadOnlyList<SchemaColumn> Schema);

internal sealed record SchemaColumn(string Name, DatasetColumnType Type);

/// <summary>All versions and their files are gone; a later upload of the name begins anew.</summary>
internal sealed record DatasetDeleted;

/// <summary>A named dataset and the versions it has had; each upload of the name adds one.</summary>
internal sealed record Dataset(string Id, int LastNumber, IReadOnlyList<DatasetVersion> Versions) : IRevisioned
{
    /// <summary>The stream's revision, set by the store.</summary>
    public int Version { get; set; }

    private const string Prefix = "dataset:";

    public static string Key(string name) => Prefix + name;

    public string Name() => Id[Prefix.Length..];

    /// <summary>The newest version, which is what the dataset's name means; null when it was deleted.</summary>
    public DatasetVersion? Newest() => Versions.Count == 0 ? null : Versions[^1];

    /// <summary>The dataset with one of its versions, the newest unless another is named; the refusal when it is not there.</summary>
    public static async Task<Result<FoundDataset>> FindAsync(IQuerySession session, string name, int? number, CancellationToken ct)
    {
        if (await session.LoadAsync<Dataset>(Key(name), ct) is not { } dataset || dataset.Newest() is not { } newest) return Refusal.NotFound("dataset", name);
        var version = number is null ? newest : dataset.Versions.FirstOrDefault(v => v.Number == number);
        if (version is null) return Refusal.NotFound("dataset version", $"{name}@{number}");
        return await session.LoadAsync<DatasetProfile>(DatasetProfile.Key(name, version.Number), ct) is { } profile
            ? new FoundDataset(dataset, version, profile)
            : Refusal.NotFound("dataset", name);
    }

    public static Dataset Create(IEvent<DatasetUploaded> e) => new(e.StreamKey!, e.Data.Number, [DatasetVersion.Of(e)]);

    public Dataset Apply(IEvent<DatasetUploaded> e) => this with { LastNumber = e.Data.Number, Versions = [.. Versions, DatasetVersion.Of(e)] };

    public Dataset Apply(DatasetDeleted _) => this with { Versions = [] };
}

/// <summary>A dataset, the version asked for and what is known of its columns.</summary>
internal sealed record FoundDataset(Dataset Dataset, DatasetVersion Version, DatasetProfile Profile);

/// <summary>One upload of a dataset.</summary>
internal sealed record DatasetVersion(
    int Number, string ContentSha256, string OriginalSha256, string? QuarantineSha256, long Bytes, long Rows, long Quarantined,
    string Encoding, char Delimiter, DateTimeOffset UploadedAt, string UploadedBy)
{
    public IEnumerable<string> Files() => QuarantineSha256 is null ? [ContentSha256, OriginalSha256] : [ContentSha256, OriginalSha256, QuarantineSha256];

    public static DatasetVersion Of(IEvent<DatasetUploaded> e) => new(
        e.Data.Number, e.Data.ContentSha256, e.Data.OriginalSha256, e.Data.QuarantineSha256, e.Data.Bytes, e.Data.Rows, e.Data.Quarantined,
        e.Data.Encoding, e.Data.Delimiter, e.Timestamp, e.UserName ?? "system");
}

/// <summary>What is known of a version's columns and first bad rows. It holds values of the rows, so it is a document that can be erased and no event.</summary>
internal sealed record DatasetProfile(string Id, string Dataset, IReadOnlyList<ColumnProfile> Columns, IReadOnlyList<RowFault> FirstFaults)
{
    public static string Key(string dataset, int number) => $"{dataset}@{number}";

    public IReadOnlyList<DatasetColumn> Schema() => [.. Columns.Select(c => new DatasetColumn(c.Name, c.Type, c.Missing, c.Distinct))];
}

/// <summary>A dataset as the API and the pages show it, with the newest version's columns.</summary>
/// <param name="ContentSha256">Of the accepted rows in canonical form: equal for equal rows, however the file was written.</param>
/// <param name="Bytes">Of the canonical CSV.</param>
/// <param name="Encoding">What the uploaded file was written in.</param>
/// <param name="Quarantined">Rows that were set aside; see the quarantine.</param>
/// <param name="FirstFaults">The first of them.</param>
internal sealed record DatasetView(
    string Name, int Version, string ContentSha256, long Bytes, long Rows, long Quarantined, string Encoding, char Delimiter,
    DateTimeOffset UploadedAt, string UploadedBy, IReadOnlyList<ColumnProfile> Columns, IReadOnlyList<RowFault> FirstFaults, IReadOnlyList<DatasetVersionView> Versions) : IHasRevision
{
    [JsonIgnore]
    public long Revision { get; init; }

    public static DatasetView Of(Dataset dataset, DatasetVersion newest, DatasetProfile profile) => new(
        dataset.Name(), newest.Number, newest.ContentSha256, newest.Bytes, newest.Rows, newest.Quarantined, newest.Encoding, newest.Delimiter,
        newest.UploadedAt, newest.UploadedBy, profile.Columns, profile.FirstFaults,
        [.. dataset.Versions.Reverse().Select(v => new DatasetVersionView(v.Number, v.ContentSha256, v.Rows, v.Quarantined, v.UploadedAt, v.UploadedBy))])
    { Revision = dataset.Version };
}

/// <summary>One version in a dataset's history, newest first.</summary>
internal sealed record DatasetVersionView(int Version, string ContentSha256, long Rows, long Quarantined, DateTimeOffset UploadedAt, string UploadedBy);
