using Microsoft.Extensions.Configuration;

namespace Platform.Features.Datasets.Csv;

/// <summary>How much a CSV may hold and how much of it may be wrong before the upload is refused. An operator may change PLATFORM_MAX_DATASET_BYTES
/// (2 GiB), PLATFORM_MAX_DATASET_ROWS (100 million) and PLATFORM_MAX_BAD_ROW_SHARE (0.5).</summary>
internal sealed record DatasetLimits
{
    private static readonly DatasetLimits Default = new();

    public static DatasetLimits From(IConfiguration configuration) => new()
    {
        MaxBytes = configuration.GetValue("PLATFORM_MAX_DATASET_BYTES", Default.MaxBytes),
        MaxRows = configuration.GetValue("PLATFORM_MAX_DATASET_ROWS", Default.MaxRows),
        MaxBadShare = configuration.GetValue("PLATFORM_MAX_BAD_ROW_SHARE", Default.MaxBadShare),
    };

    public long MaxBytes { get; init; } = 2L << 30;

    public long MaxRows { get; init; } = 100_000_000;

    public int MaxColumns { get; init; } = 2_000;

    public int MaxNameChars { get; init; } = 200;

    public int MaxFieldChars { get; init; } = 1 << 20;

    /// <summary>Bounds the memory of reading: at most one row is held.</summary>
    public int MaxRowChars { get; init; } = 4 << 20;

    /// <summary>Above this share of bad rows it is likelier that the file was misread than that its rows are bad.</summary>
    public double MaxBadShare { get; init; } = 0.5;

    /// <summary>The share of a column's values that must fit a type to give the column that type; the rest are bad values.</summary>
    public double TypeShare { get; init; } = 0.995;

    public int MaxListedErrors { get; init; } = 20;

    /// <summary>Bad rows written to the quarantine; further ones are only counted, so that a small file cannot fill the disk.</summary>
    public long MaxKeptFaults { get; init; } = 1_000_000;

    /// <summary>Distinct values are counted up to one more than this.</summary>
    public int MaxDistinct { get; init; } = 10_000;

    /// <summary>Memory for counting distinct values, over all columns, in characters.</summary>
    public long MaxCountedChars { get; init; } = 64 << 20;

    /// <summary>Times the rows are read. Two are enough unless bad values of one column sit in the rows that made another column text.</summary>
    public int MaxPasses { get; init; } = 6;
}
