using System.Data;
using System.Globalization;
using Sylvan.Data.Csv;

namespace Platform.MainJob;

/// <summary>A CSV split in two: a few rows that nobody trains on, and the rest to upload.</summary>
/// <param name="Rest">The CSV without the rows set aside, as UTF-8.</param>
/// <param name="Rows">The rows set aside, as column and text.</param>
internal sealed record HeldOut(byte[] Rest, IReadOnlyList<IReadOnlyDictionary<string, string>> Rows, long Total)
{
    private static readonly string[] DateFormats = ["yyyy-MM-dd", "yyyy-MM-ddTHH:mm:ss", "yyyy-MM-dd HH:mm:ss", "yyyyMMddTHHmmss", "yyyyMMdd"];

    /// <summary>Sets <paramref name="count"/> rows aside: evenly spaced over the newest fifth when a column holds dates, else over the last fifth of the file.
    /// Rows with a missing value in the target are never chosen, for there would be no truth to compare with.</summary>
    public static HeldOut Of(string file, string target, int count)
    {
        var (header, rows) = Read(file);
        var targetAt = Array.IndexOf(header, target);
        if (targetAt < 0) throw new MainJobException($"{Path.GetFileName(file)} has no column '{target}'. It has: {string.Join(", ", header)}. Name one with --target.");
        var dateAt = DateColumn(header, rows);
        var ordered = Enumerable.Range(0, rows.Count)
            .OrderBy(i => dateAt is { } at && TryDate(rows[i][at], out var date) ? date : DateTime.MinValue)
            .ThenBy(i => i)
            .ToArray();
        var newest = ordered[(int)(rows.Count * 0.8)..].Where(i => double.TryParse(rows[i][targetAt], CultureInfo.InvariantCulture, out _)).ToArray();
        if (newest.Length < count) throw new MainJobException($"{Path.GetFileName(file)} has too few rows with a number in '{target}' to set {count} of them aside.");
        var chosen = Enumerable.Range(0, count).Select(i => newest[(int)((i + 0.5) * newest.Length / count)]).ToHashSet();

        var rest = new StringWriter { NewLine = "\n" };
        using (var table = new DataTable())
        using (var writer = CsvDataWriter.Create(rest))
        {
            foreach (var column in header) table.Columns.Add(column);
            foreach (var row in rows.Where((_, i) => !chosen.Contains(i))) table.Rows.Add(row);
            writer.Write(table.CreateDataReader());
        }

        return new(
            System.Text.Encoding.UTF8.GetBytes(rest.ToString()),
            [.. chosen.Select(i => header.Zip(rows[i]).ToDictionary(p => p.First, p => p.Second))],
            rows.Count);
    }

    private static (string[] Header, List<string[]> Rows) Read(string file)
    {
        using var reader = CsvDataReader.Create(file);
        var header = Enumerable.Range(0, reader.FieldCount).Select(reader.GetName).ToArray();
        List<string[]> rows = [];
        while (reader.Read()) rows.Add([.. Enumerable.Range(0, header.Length).Select(i => i < reader.RowFieldCount ? reader.GetString(i) : "")]);
        return (header, rows);
    }

    private static int? DateColumn(string[] header, List<string[]> rows)
    {
        for (var at = 0; at < header.Length; at++)
        {
            if (rows.Take(50).All(r => TryDate(r[at], out _))) return at;
        }

        return null;
    }

    private static bool TryDate(string text, out DateTime date) =>
        DateTime.TryParseExact(text, DateFormats, CultureInfo.InvariantCulture, DateTimeStyles.None, out date) && date.Year is > 1800 and < 2200;
}

/// <summary>The main job cannot go on, and the sentence says why.</summary>
internal sealed class MainJobException(string message) : Exception(message);
