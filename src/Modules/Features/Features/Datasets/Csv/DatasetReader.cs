using System.Text;
using Platform.Kernel;

namespace Platform.Features.Datasets.Csv;

/// <summary>What became of a CSV file: the accepted rows stand in the canonical stream, the others in the quarantine.</summary>
/// <param name="ContentSha256">Hash of the canonical CSV.</param>
/// <param name="CanonicalBytes">Length of the canonical CSV.</param>
/// <param name="Quarantined">How many rows were set aside.</param>
/// <param name="FirstFaults">The first of them, for a summary.</param>
internal sealed record DatasetContent(
    string ContentSha256, long CanonicalBytes, long Rows, long Quarantined, string Encoding, char Delimiter,
    IReadOnlyList<ColumnProfile> Columns, IReadOnlyList<RowFault> FirstFaults);

/// <summary>Why one row is in quarantine.</summary>
/// <param name="Line">The physical line of the file on which the row begins, from 1.</param>
/// <param name="Column">The column at fault; null when the row as a whole is.</param>
/// <param name="Row">The row as written, cut to a length fit for showing.</param>
internal sealed record RowFault(long Line, string? Column, string Reason, string Row);

/// <summary>Turns an uploaded CSV into canonical CSV, a schema, statistics and a quarantine, without ever holding more than a row of it:
/// the rows are read once to vote on the columns' types and once more to write them.</summary>
internal static class DatasetReader
{
    /// <summary>The header of the quarantine file, which is itself CSV.</summary>
    public static readonly string[] QuarantineColumns = ["line", "column", "reason", "row"];

    /// <summary>Reads <paramref name="source"/> from its beginning, as often as it takes. What stands in the two outputs is replaced.</summary>
    public static Result<DatasetContent> Read(Stream source, Stream canonical, Stream quarantine, DatasetLimits limits, CancellationToken ct)
    {
        if (source.Length > limits.MaxBytes) return new Refusal(RefusalKind.TooLarge,
            "too-large", $"The file is over the limit of {limits.MaxBytes} bytes.", "file", "Split it into several datasets.");

        Encoding? encoding = null;
        try
        {
            encoding = CsvInspector.DetectEncoding(source);
            return ReadRows(source, CsvInspector.Inspect(source, encoding, limits), canonical, quarantine, limits, ct);
        }
        catch (DatasetRefusedException refused)
        {
            return refused.Refusal;
        }
        catch (DecoderFallbackException) when (encoding is not null)
        {
            return CsvInspector.NotDecodable(source, encoding);
        }
    }

    private static DatasetContent ReadRows(
        Stream source, CsvFormat format, Stream canonical, Stream quarantine, DatasetLimits limits, CancellationToken ct)
    {
        var vote = new DatasetPass(format, new ColumnShape[format.Columns.Count], limits);
        vote.Vote(source, ct);

        // Types are voted by the rows that are kept. Rows left out for one column's sake can turn another's vote, so the vote is held
        // again while writing, and what was written stands when it changes nothing. Reading the canonical CSV then finds the same types.
        for (var pass = 2; ; pass++)
        {
            var write = new DatasetPass(format, vote.Decide(), limits);
            canonical.SetLength(0);
            quarantine.SetLength(0);
            var sha256 = write.Write(source, canonical, quarantine, ct);
            if (pass < limits.MaxPasses && !write.Decide().SequenceEqual(write.Shapes))
            {
                vote = write;
                continue;
            }
            return new DatasetContent(
                sha256, canonical.Length, write.Rows, write.Quarantined, format.Encoding.WebName, format.Delimiter, write.Profile(), write.FirstFaults);
        }
    }
}
