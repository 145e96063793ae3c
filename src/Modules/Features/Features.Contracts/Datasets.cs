using MediatR;
using Platform.Kernel;

namespace Platform.Features.Contracts;

/// <summary>The inferred type of a dataset's column.</summary>
public enum DatasetColumnType { Integer, Number, Boolean, Date, Text }

/// <summary>One column as inferred from the accepted rows.</summary>
/// <param name="Missing">Accepted rows where it is empty.</param>
/// <param name="Distinct">Distinct values, counted up to 10 001, which means "more than 10 000" (or, in a very wide dataset, more than memory allowed to count).</param>
public sealed record DatasetColumn(string Name, DatasetColumnType Type, long Missing, int Distinct);

/// <summary>Opens a ready dataset for reading, such as for training.</summary>
/// <param name="Version">One of its versions; the newest unless named.</param>
[Needs("features:read")]
public sealed record OpenDataset(string Dataset, int? Version = null) : IRequest<Result<OpenedDataset>>;

/// <summary>The accepted rows of a dataset as canonical CSV: UTF-8, comma, header, quoted as RFC 4180 asks, numbers and dates (ISO 8601) in invariant form,
/// empty for missing, in the order they were uploaded.</summary>
/// <param name="ContentSha256">Hash of the canonical CSV: two datasets of the same rows have the same hash.</param>
/// <param name="OpenCsv">Opens the stream; the caller disposes it.</param>
public sealed record OpenedDataset(
    string Dataset, string ContentSha256, long Rows, IReadOnlyList<DatasetColumn> Columns, Func<CancellationToken, Task<Stream>> OpenCsv);
