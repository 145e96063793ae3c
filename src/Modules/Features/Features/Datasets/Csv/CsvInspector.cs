using System.Buffers;
using System.Text;
using System.Text.Unicode;
using Platform.Kernel;

namespace Platform.Features.Datasets.Csv;

/// <summary>How a file is written and what its columns are called.</summary>
internal sealed record CsvFormat(Encoding Encoding, char Delimiter, IReadOnlyList<string> Columns);

/// <summary>Finds out how a CSV file is written before its rows are read. What it cannot know for sure it refuses rather than guesses:
/// a wrong guess of an encoding would change names silently.</summary>
internal static class CsvInspector
{
    /// <summary>The delimiters that are recognised, the likeliest first.</summary>
    public static readonly char[] Delimiters = [',', ';', '\t', '|'];

    private const int SampleChars = 64 * 1024;
    private const int SampleRows = 100;
    private const string SaveAsUtf8 = "Save the file as UTF-8 (in Excel: \"CSV UTF-8\") and upload it again.";

    private static readonly Encoding Utf8Encoding = new UTF8Encoding(false, throwOnInvalidBytes: true);

    /// <summary>Reads delimiter and header; throws <see cref="DatasetRefusedException"/> where one cannot be had.</summary>
    public static CsvFormat Inspect(Stream source, Encoding encoding, DatasetLimits limits)
    {
        using var text = OpenText(source, encoding);
        var sample = new char[SampleChars];
        var length = text.ReadBlock(sample);
        var delimiter = DetectDelimiter(sample.AsSpan(0, length));

        using var again = OpenText(source, encoding);
        return new CsvFormat(encoding, delimiter, ReadHeader(source, new CsvRowReader(again, delimiter, limits), limits));
    }

    /// <summary>Opens the text from its beginning, behind a byte order mark. Bytes that are not of the encoding throw
    /// <see cref="DecoderFallbackException"/>, which <see cref="NotDecodable"/> explains.</summary>
    public static StreamReader OpenText(Stream source, Encoding encoding)
    {
        Span<byte> start = stackalloc byte[3];
        source.Position = 0;
        var length = source.ReadAtLeast(start, start.Length, throwOnEndOfStream: false);
        start = start[..length];
        source.Position = start.StartsWith("\uFEFF"u8) ? 3 : ReferenceEquals(encoding, Utf8Encoding) ? 0 : 2;
        return new StreamReader(source, encoding, detectEncodingFromByteOrderMarks: false, bufferSize: SampleChars, leaveOpen: true);
    }

    /// <summary>The refusal for bytes that are not text of the encoding; for UTF-8 it names the first one's line and byte.</summary>
    public static Refusal NotDecodable(Stream source, Encoding encoding)
    {
        if (OtherFormat(source) is { } other) return other;
        if (!ReferenceEquals(encoding, Utf8Encoding))
            return Refusal.Invalid("not-utf-16", "The file begins like UTF-16 and holds something that is not.", "file", SaveAsUtf8);

        var (line, offset, inLine, value) = FirstInvalidByte(source);
        return Refusal.Invalid("not-utf-8",
            $"Line {line} holds the byte 0x{value:X2}, which is not UTF-8: byte {inLine} of that line, byte {offset} of the file, both from 1.", "file", SaveAsUtf8);
    }

    /// <summary>The encoding that the byte order mark names, else UTF-8; throws <see cref="DatasetRefusedException"/> for what we do not read.</summary>
    public static Encoding DetectEncoding(Stream source)
    {
        Span<byte> start = stackalloc byte[4];
        source.Position = 0;
        start = start[..source.ReadAtLeast(start, start.Length, throwOnEndOfStream: false)];
        if (start.IsEmpty) throw Refused(Refusal.Invalid(
            "empty-file", "The file is empty.", "file", "Upload a CSV file with a header line and at least one row."));
        if (start.SequenceEqual<byte>([0xFF, 0xFE, 0, 0]) || start.SequenceEqual<byte>([0, 0, 0xFE, 0xFF])) throw Refused(Refusal.Invalid(
            "not-utf-8", "The file is written in UTF-32.", "file", SaveAsUtf8));
        if (start.StartsWith<byte>([0xFF, 0xFE])) return new UnicodeEncoding(bigEndian: false, byteOrderMark: false, throwOnInvalidBytes: true);
        if (start.StartsWith<byte>([0xFE, 0xFF])) return new UnicodeEncoding(bigEndian: true, byteOrderMark: false, throwOnInvalidBytes: true);
        return Utf8Encoding;
    }

    /// <summary>Takes the delimiter that splits the header into most columns, weighed by how many of the first rows agree.</summary>
    private static char DetectDelimiter(ReadOnlySpan<char> sample)
    {
        var rows = new List<int[]>();
        var counts = new int[Delimiters.Length];
        var (quoted, fieldStart, anything) = (false, true, false);
        for (var i = 0; i < sample.Length && rows.Count < SampleRows; i++)
        {
            var c = sample[i];
            if (quoted)
            {
                if (c != '"') continue;
                if (i + 1 < sample.Length && sample[i + 1] == '"') i++;
                else quoted = false;
            }
            else if (c is '\r' or '\n')
            {
                if (anything) rows.Add(counts);
                (counts, fieldStart, anything) = (new int[Delimiters.Length], true, false);
            }
            else
            {
                anything = true;
                quoted = fieldStart && c == '"';
                var kind = Array.IndexOf(Delimiters, c);
                if (kind >= 0) counts[kind]++;
                fieldStart = kind >= 0 || (fieldStart && c == ' ');
            }
        }
        // The last row may be cut short by the end of the sample.
        if (anything && (rows.Count == 0 || sample.Length < SampleChars)) rows.Add(counts);
        if (rows.Count == 0) return Delimiters[0];

        return Delimiters[Enumerable.Range(0, Delimiters.Length).MaxBy(kind => rows[0][kind] * rows.Count(row => row[kind] == rows[0][kind]))];
    }

    private static List<string> ReadHeader(Stream source, CsvRowReader rows, DatasetLimits limits)
    {
        if (!rows.Read()) throw Refused(Refusal.Invalid(
            "empty-file", "The file holds no text.", "file", "Upload a CSV file with a header line and at least one row."));
        if (rows.Fault is { } fault) throw Refused(Refusal.Invalid(
            "unreadable-header", $"The header on line {rows.Line} cannot be read: {fault}.", "file", "Mend the first line: it names the columns."));
        if (rows.Whole.Contains('\0')) throw Refused(OtherFormat(source) ?? Refusal.Invalid(
            "not-text", $"The header on line {rows.Line} holds a NUL character, so this is not a text file in UTF-8.", "file", SaveAsUtf8));
        if (rows.Count > limits.MaxColumns) throw Refused(new Refusal(RefusalKind.TooLarge,
            "too-many-columns", $"The header names {rows.Count} columns; the limit is {limits.MaxColumns}.", "file", "Leave out columns, or split the file."));

        var names = new List<string>(rows.Count);
        for (var i = 0; i < rows.Count; i++) names.Add(Cell.Trim(rows[i]).ToString());
        CheckNames(names, rows.Line, limits);
        return names;
    }

    private static void CheckNames(List<string> names, long line, DatasetLimits limits)
    {
        if (names.All(IsValue) && names.Any(name => name.Length > 0)) throw Refused(Refusal.Invalid(
            "missing-header", $"Line {line} holds values and no column names.", "file", "Put a line with the columns' names first."));

        var seen = new Dictionary<string, int>(StringComparer.Ordinal);
        var errors = new List<FieldError>();
        for (var i = 0; i < names.Count; i++)
        {
            var (name, column) = (names[i], $"column {i + 1}");
            if (name.Length == 0)
                errors.Add(new FieldError(column, $"The {column} has no name.", "Name it, or remove the column (an unnamed first column is often a row index)."));
            else if (name.Length > limits.MaxNameChars || name.Any(char.IsControl))
                errors.Add(new FieldError(column, $"The name of {column} is over {limits.MaxNameChars} characters or holds control characters.", "Give it a short name in one line."));
            else if (!seen.TryAdd(name, i + 1))
                errors.Add(new FieldError(name, $"The columns {seen[name]} and {i + 1} are both called '{name}'.", "Rename one of them."));
        }
        if (errors.Count == 0) return;
        var first = errors[0];
        throw Refused(Refusal.Invalid("bad-column-names", first.Detail, first.Field, first.Mend) with
        {
            Errors = [.. errors.Take(limits.MaxListedErrors)],
        });

        static bool IsValue(string name) => Cell.IsMissing(name) || Cell.IsCode(name) || Cell.Read(name, namedLikeADate: false).Fits != Fits.Text;
    }

    /// <summary>Says what a file is that people take for a CSV.</summary>
    private static Refusal? OtherFormat(Stream source)
    {
        Span<byte> start = stackalloc byte[4];
        source.Position = 0;
        start = start[..source.ReadAtLeast(start, start.Length, throwOnEndOfStream: false)];
        var what = start.StartsWith("PK\u0003\u0004"u8) ? "an Excel workbook or another ZIP archive"
            : start.StartsWith<byte>([0x1F, 0x8B]) ? "a GZIP archive"
            : start.StartsWith("PAR1"u8) ? "a Parquet file"
            : start.StartsWith("%PDF"u8) ? "a PDF file"
            : null;
        return what is null ? null : new Refusal(RefusalKind.Unsupported,
            "not-csv", $"The file is {what}.", "file", "Export the table as \"CSV UTF-8\" and upload that.");
    }

    private static (long Line, long Offset, long InLine, byte Value) FirstInvalidByte(Stream source)
    {
        var bytes = new byte[SampleChars];
        var chars = new char[SampleChars];
        long line = 1, offset = 0, lineStart = 0;
        var (held, afterReturn) = (0, false);
        source.Position = 0;
        while (true)
        {
            var got = source.ReadAtLeast(bytes.AsSpan(held), bytes.Length - held, throwOnEndOfStream: false);
            var block = bytes.AsSpan(0, held + got);
            var status = Utf8.ToUtf16(block, chars, out var valid, out _, replaceInvalidSequences: false, isFinalBlock: got == 0);
            for (var i = 0; i < valid; i++)
            {
                // A line feed behind a carriage return ends the same line, only later.
                var isBreak = block[i] is (byte)'\n' or (byte)'\r';
                if (isBreak && !(afterReturn && block[i] == '\n')) line++;
                if (isBreak) lineStart = offset + i + 1;
                afterReturn = block[i] == '\r';
            }
            if (status == OperationStatus.InvalidData) return (line, offset + valid + 1, offset + valid - lineStart + 1, block[valid]);
            if (got == 0) throw new InvalidDataException("The file changed while it was read.");
            block[valid..].CopyTo(bytes);
            held = block.Length - valid;
            offset += valid;
        }
    }

    private static DatasetRefusedException Refused(Refusal refusal) => new(refusal);
}
