using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Platform.Registry.Tracking;
using Sylvan.Data.Csv;

namespace Platform.Registry.Runs;

/// <summary>What a page shows of an artifact: never more than its beginning, and never as anything but text, cells of text, or a picture made of pixels.</summary>
/// <param name="Kind">How it is shown.</param>
/// <param name="Text">For text and JSON.</param>
/// <param name="Rows">For a table; the first row is the names.</param>
/// <param name="Note">What is not shown, said.</param>
internal sealed record ArtifactPreview(ArtifactPreview.Shape Kind, string Text, IReadOnlyList<IReadOnlyList<string>> Rows, string? Note)
{
    /// <summary>What of a text file is read; a picture is the browser's to load, up to <see cref="MostPictureBytes"/>.</summary>
    public const int MostTextBytes = 256 << 10;

    public const long MostPictureBytes = 20 << 20;
    private const int MostRows = 200, MostColumns = 100, MostCell = 500;

    private static readonly JsonSerializerOptions Pretty = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    internal enum Shape
    {
        /// <summary>Only to be downloaded.</summary>
        None,
        Text,
        Table,
        Picture,
    }

    public static async Task<ArtifactPreview> OfAsync(StoredArtifact file, Stream content, CancellationToken ct)
    {
        if (ReadRunArtifact.PictureType(file.Path) is not null)
        {
            return file.Bytes <= MostPictureBytes ? new(Shape.Picture, "", [], null) : Nothing($"A picture of {Shown.Size(file.Bytes)} is too large to be shown here (the most is {Shown.Size(MostPictureBytes)}). Download it.");
        }

        var head = new byte[(int)Math.Min(file.Bytes, MostTextBytes)];
        var read = await content.ReadAtLeastAsync(head, head.Length, throwOnEndOfStream: false, ct);
        if (TextOf(head.AsSpan(0, read), isWhole: read == file.Bytes) is not { } text) return Nothing("It is not text. Download it.");
        var cut = read < file.Bytes ? $"The first {Shown.Size(read)} of {Shown.Size(file.Bytes)}." : null;
        return Path.GetExtension(file.Path).ToLowerInvariant() switch
        {
            ".json" when cut is null && Indented(text) is { } json => new(Shape.Text, json, [], null),
            ".csv" or ".tsv" when Cells(text, cut is not null) is { } table => table with { Note = Joined(table.Note, cut) },
            _ => new(Shape.Text, text, [], cut),
        };
    }

    private static ArtifactPreview Nothing(string note) => new(Shape.None, "", [], note);

    private static string? Joined(string? one, string? other) => one is null ? other : other is null ? one : $"{one} {other}";

    /// <summary>Null for what is no UTF-8 text. A character that the end cuts through is left out.</summary>
    private static string? TextOf(ReadOnlySpan<byte> bytes, bool isWhole)
    {
        if (bytes.StartsWith(Encoding.UTF8.Preamble)) bytes = bytes[3..];
        for (var shorter = 0; shorter <= (isWhole ? 0 : Math.Min(3, bytes.Length)); shorter++)
        {
            var tried = bytes[..^shorter];
            if (!System.Text.Unicode.Utf8.IsValid(tried)) continue;
            var text = Encoding.UTF8.GetString(tried);
            // Tabs, line ends and terminals' colours are in honest logs; NUL is not.
            return text.Contains('\0') ? null : text;
        }

        return null;
    }

    private static string? Indented(string text)
    {
        try
        {
            using var json = JsonDocument.Parse(text);
            return JsonSerializer.Serialize(json, Pretty);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static ArtifactPreview? Cells(string text, bool isCut)
    {
        // The last line may be half a row.
        if (isCut && text.LastIndexOf('\n') is > 0 and var end) text = text[..end];
        try
        {
            using var csv = CsvDataReader.Create(new StringReader(text), new CsvDataReaderOptions { HasHeaders = false, BufferSize = 1 << 16, MaxBufferSize = 1 << 20 });
            List<IReadOnlyList<string>> rows = [];
            var (more, wider) = (false, false);
            while (csv.Read())
            {
                if (rows.Count > MostRows)
                {
                    more = true;
                    break;
                }

                wider |= csv.RowFieldCount > MostColumns;
                rows.Add([.. Enumerable.Range(0, Math.Min(csv.RowFieldCount, MostColumns)).Select(i => csv.GetString(i) is { Length: > MostCell } cell ? cell[..MostCell] + "…" : csv.GetString(i))]);
            }

            return rows.Count == 0 ? null : new(Shape.Table, "", rows, Joined(more ? $"The first {MostRows} rows." : null, wider ? $"The first {MostColumns} columns." : null));
        }
        catch (CsvFormatException)
        {
            return null;
        }
    }
}
