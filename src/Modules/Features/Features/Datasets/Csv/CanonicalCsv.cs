using System.Text;
using Sylvan.Data.Csv;

namespace Platform.Features.Datasets.Csv;

/// <summary>Reads what <see cref="CsvRowWriter"/> wrote. It is well-formed, so the library's reader serves.</summary>
internal static class CanonicalCsv
{
    private static readonly CsvDataReaderOptions Options = new()
    {
        HasHeaders = true,
        Delimiter = ',',
        BufferSize = 1 << 16,
        // A row is at most 4 Mi characters when it is read, and at most twice that when every one of them is a quote.
        MaxBufferSize = 1 << 24,
        ResultSetMode = ResultSetMode.SingleResult,
    };

    /// <summary>Opens the rows; disposing the reader disposes the stream.</summary>
    public static Task<CsvDataReader> OpenAsync(Stream csv, CancellationToken ct) =>
        CsvDataReader.CreateAsync(new StreamReader(csv, new UTF8Encoding(false), detectEncodingFromByteOrderMarks: false, bufferSize: 1 << 16), Options, ct);
}
