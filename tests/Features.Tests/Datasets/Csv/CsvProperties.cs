using System.Text;
using CsCheck;
using Platform.Features.Datasets.Csv;
using Sylvan.Data.Csv;

namespace Features.Tests.Datasets.Csv;

public class CsvProperties
{
    private static readonly Gen<string> AnyValue = Gen.OneOf(
        Gen.Int[-50, 50].Select(i => i.ToString()),
        Gen.Double.Select(d => d.ToString("R")),
        Gen.Double[-10, 10].Select(d => d.ToString("F2")),
        Gen.DateTime.Select(d => d.ToString("s")),
        Gen.Int[1, 28].Select(d => $"201410{d:00}"),
        Gen.Int[1, 28].Select(d => $"201410{d:00}T101500"),
        Gen.OneOf("", "NA", "null", "NaN", "true", "False", "inf", "-Infinity", "1e999", "007", "1234567890123456", "0.50", "-0", "+3", "5.",
            " padded ", "a,b", "x;y", "a\tb", "p|q", "say \"hi\"", "two\nlines", "cr\rlf\r\n", "Köln", "🏠", "\uFEFFmark", "\"", "'", "\0"),
        Gen.String[Gen.Char.AlphaNumeric, 0, 6]);

    private static readonly Gen<string> Name = Gen.OneOf(
        Gen.OneOf("price", "sold_date", "a,b", "x;y;z", "it's \"q\"", "日", "PAR1", "n|m"),
        Gen.String[Gen.Char.AlphaNumeric, 1, 5]);

    /// <summary>Tables whose columns mostly keep to one kind of value, with a few strangers, so that types, quarantine and text all occur.</summary>
    private static readonly Gen<string> Table =
        from names in Name.Array[1, 5]
        from kinds in Gen.Int[0, 7].Array[names.Length]
        from rows in Gen.Select(AnyValue.Array[names.Length], Gen.Int[0, 30].Array[names.Length], Gen.Int[0, 40]).Array[0, 300]
        from delimiter in Gen.OneOf(',', ';', '\t', '|')
        from newline in Gen.OneOf("\n", "\r\n")
        select string.Join(newline, rows.Select((row, r) => string.Join(delimiter, row.Item1.Select((any, c) => row.Item2[c] == 0 ? any : Typical(kinds[c], r))
                .Take(row.Item3 == 0 ? names.Length - 1 : names.Length).Select(value => Quote(value, row.Item3))))
            .Prepend(string.Join(delimiter, names.Select(name => Quote(name, 0)))));

    private static string Typical(int kind, int row) => kind switch
    {
        0 => row.ToString(),
        1 => (row / 8.0).ToString("R"),
        2 => row % 2 == 0 ? "true" : "FALSE",
        3 => $"20141{row % 3}{row % 28 + 1:00}",
        4 => $"2014-10-{row % 28 + 1:00}",
        5 => "NA",
        6 => row % 2 == 0 ? "inf" : "3",
        _ => "word",
    };

    private static string Quote(string value, int style) =>
        style % 3 == 0 || value.IndexOfAny([',', ';', '\t', '|', '"', '\r', '\n']) >= 0 ? $"\"{value.Replace("\"", "\"\"")}\"" : value;

    [Fact]
    public void Canonical_csv_is_its_own_canonical_form() => Table.Sample(csv =>
    {
        var first = ReadCsv.Of(csv);
        if (!first.Result.IsOk) return;

        var second = ReadCsv.Of(first.CanonicalBytes);

        second.Canonical.ShouldBe(first.Canonical);
        second.Content.ContentSha256.ShouldBe(first.Content.ContentSha256);
        second.Content.Quarantined.ShouldBe(0);
        second.Content.Rows.ShouldBe(first.Content.Rows);
        second.Content.Columns.Select(column => column with { Top = [] }).ShouldBe(first.Content.Columns.Select(column => column with { Top = [] }));
        second.Content.Columns.SelectMany(column => column.Top).ShouldBe(first.Content.Columns.SelectMany(column => column.Top));
    }, iter: 2_000);

    [Fact]
    public void Random_bytes_are_read_or_refused_and_never_crash() => Gen.OneOf(
            Gen.Byte.Array[0, 3_000],
            Gen.OneOf("a", "1", ",", ";", "\"", "\"", "\n", "\r", " ", "\0", "é", "\uFEFF", "NaN", "1e5", "x,y\n").Array[0, 800]
                .Select(parts => Encoding.UTF8.GetBytes(string.Concat(parts))),
            Gen.Select(Table, Gen.Byte.Array[0, 5], Gen.Int[0, 1_000]).Select((csv, noise, at) =>
            {
                var bytes = Encoding.UTF8.GetBytes(csv);
                at = Math.Min(at, bytes.Length);
                return bytes[..at].Concat(noise).Concat(bytes[at..]).ToArray();
            }))
        .Sample(bytes =>
        {
            var read = ReadCsv.Of(bytes, ReadCsv.Limits with { MaxFieldChars = 200, MaxRowChars = 500 });

            if (read.Result.Refusal is { } refusal) refusal.Detail.ShouldNotBeEmpty();
            else Rows(read.Quarantine).Count.ShouldBe((int)read.Content.Quarantined);
        }, iter: 5_000);

    [Fact]
    public void Every_row_is_accepted_or_quarantined_exactly_once() => (
            from kinds in Gen.Int[0, 30].Array[1, 400]
            from newline in Gen.OneOf("\n", "\r\n", "\r")
            select (kinds, newline))
        .Sample(input =>
        {
            // Each row carries its number, and each takes one line more when it holds a line break.
            var lines = new List<long>();
            var csv = new StringBuilder("id,price,note" + input.newline);
            long line = 2;
            foreach (var (row, kind) in input.kinds.Index())
            {
                lines.Add(line);
                var text = kind switch
                {
                    0 => $"{row},1",
                    1 => $"{row},1,x,y",
                    2 => $"{row},Infinity,x",
                    3 => $"{row},1,\"x\"y",
                    4 => $"{row},1,\"two\nlines\"",
                    5 => $"{row},words,x",
                    6 => $"{row},,NA",
                    7 => $"{input.newline}{row},1,x",
                    _ => $"{row},{row / 4.0},x",
                };
                csv.Append(text).Append(input.newline);
                if (kind == 7) lines[^1]++;
                line += kind is 4 or 7 ? 2 : 1;
            }

            var read = ReadCsv.Of(csv.ToString(), ReadCsv.Limits with { MaxBadShare = 1, MaxListedErrors = int.MaxValue });
            if (!read.Result.IsOk) return;

            var accepted = Rows(read.Canonical).Select(row => int.Parse(row[0])).ToList();
            var quarantined = read.Content.FirstFaults.Select(fault => lines.IndexOf(fault.Line)).ToList();
            accepted.ShouldBe(accepted.Order());
            accepted.Concat(quarantined).Order().ShouldBe(Enumerable.Range(0, input.kinds.Length));
            (read.Content.Rows, read.Content.Quarantined).ShouldBe((accepted.Count, quarantined.Count));
        }, iter: 1_000);

    [Fact]
    public void Rows_take_each_line_once_and_leave_out_only_blank_ones() => Gen.OneOf("a", ",", "\"", "\n", "\r\n", "\r", " ", "b,c\n", "\"x\"")
        .Array[0, 300].Sample(parts =>
        {
            var text = string.Concat(parts);
            var lines = text.Replace("\r\n", "\n").Replace('\r', '\n').Split('\n');
            var rows = new CsvRowReader(new StringReader(text), ',', ReadCsv.Limits);
            long next = 1;
            while (rows.Read())
            {
                for (; next < rows.Line; next++) lines[next - 1].ShouldBeNullOrWhiteSpace();
                rows.Line.ShouldBe(next);
                next += rows.Lines;
            }
            for (; next <= lines.Length; next++) lines[next - 1].ShouldBeNullOrWhiteSpace();
        }, iter: 5_000);

    [Fact]
    public void Well_formed_csv_reads_as_another_reader_reads_it() => Gen.String[Gen.OneOf('a', 'b', ',', '"', '\n', ';', 'é'), 0, 8]
        .Array[3].Array[1, 60].Sample(cells =>
        {
            using var written = new MemoryStream();
            using (var writer = new CsvRowWriter(written))
            {
                foreach (var row in cells) writer.Row([$"<{row[0]}", row[1], row[2]]);
                writer.Finish();
            }
            var csv = Encoding.UTF8.GetString(written.ToArray());

            var mine = new List<string[]>();
            var rows = new CsvRowReader(new StringReader(csv), ',', ReadCsv.Limits);
            while (rows.Read()) mine.Add([rows[0].ToString(), rows[1].ToString(), rows[2].ToString()]);
            var theirs = Rows(csv, header: false);

            mine.SelectMany(row => row).ShouldBe(cells.SelectMany(row => new[] { $"<{row[0]}", row[1], row[2] }));
            mine.SelectMany(row => row).ShouldBe(theirs.SelectMany(row => row));
        }, iter: 2_000);

    private static List<string[]> Rows(string csv, bool header = true)
    {
        using var reader = CsvDataReader.Create(new StringReader(csv), new CsvDataReaderOptions { HasHeaders = header, Delimiter = ',' });
        var rows = new List<string[]>();
        while (reader.Read()) rows.Add([.. Enumerable.Range(0, reader.RowFieldCount).Select(reader.GetString)]);
        return rows;
    }
}
