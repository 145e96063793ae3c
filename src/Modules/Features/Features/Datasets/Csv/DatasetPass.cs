using System.Buffers;
using Platform.Kernel;

namespace Platform.Features.Datasets.Csv;

/// <summary>One reading of all rows: each is accepted and written, or quarantined with its line and reason, under the given column shapes.</summary>
internal sealed class DatasetPass
{
    private const int LongestShown = 40;

    private readonly CsvFormat format;
    private readonly DatasetLimits limits;
    private readonly bool[] namedLikeADate;
    private readonly ColumnVotes[] votes;
    private readonly ColumnProfiler[] profilers;
    private readonly ReadValue[] values;
    private readonly ArrayBufferWriter<char> canonical = new();
    private readonly List<RowFault> firstFaults = [];

    public DatasetPass(CsvFormat format, ColumnShape[] shapes, DatasetLimits limits)
    {
        (this.format, this.limits, Shapes) = (format, limits, shapes);
        var memory = new CountingMemory(limits.MaxCountedChars);
        namedLikeADate = [.. format.Columns.Select(Cell.IsNamedLikeADate)];
        votes = [.. format.Columns.Select(_ => new ColumnVotes())];
        profilers = [.. format.Columns.Select(name => new ColumnProfiler(name, memory.NewColumn(limits.MaxDistinct)))];
        values = new ReadValue[format.Columns.Count];
    }

    // A value of the current row: its canonical text in the row's buffer, empty when it is missing.
    private readonly record struct ReadValue(Cell Cell, int Start, int Length);

    public ColumnShape[] Shapes { get; }

    public long Rows { get; private set; }

    public long Quarantined { get; private set; }

    public IReadOnlyList<RowFault> FirstFaults => firstFaults;

    /// <summary>The shapes the accepted rows vote for.</summary>
    public ColumnShape[] Decide() => [.. Shapes.Select((shape, i) => votes[i].Decide(shape, limits.TypeShare))];

    public IReadOnlyList<ColumnProfile> Profile() => [.. profilers.Select((profiler, i) => profiler.Finish(Shapes[i]))];

    /// <summary>Reads the rows for their votes alone. Throws <see cref="DatasetRefusedException"/> when too little of the file is good.</summary>
    public void Vote(Stream source, CancellationToken ct) => ReadRows(source, accept: () => { }, putAside: _ => { }, ct);

    /// <summary>Reads the rows and writes each where it belongs. Answers the SHA-256 of the canonical CSV; throws as <see cref="Vote"/> does.</summary>
    public string Write(Stream source, Stream canonicalCsv, Stream quarantineCsv, CancellationToken ct)
    {
        using var accepted = new CsvRowWriter(canonicalCsv);
        using var quarantine = new CsvRowWriter(quarantineCsv);
        accepted.Row([.. format.Columns]);
        quarantine.Row(DatasetReader.QuarantineColumns);
        ReadRows(source, () => WriteRow(accepted), fault => quarantine.Row([fault.Line.ToString(), fault.Column ?? "", fault.Reason, fault.Row]), ct);
        quarantine.Finish();
        return accepted.Finish();
    }

    private void ReadRows(Stream source, Action accept, Action<RowFault> putAside, CancellationToken ct)
    {
        using var text = CsvInspector.OpenText(source, format.Encoding);
        var rows = new CsvRowReader(text, format.Delimiter, limits);
        rows.Read();
        while (rows.Read())
        {
            ct.ThrowIfCancellationRequested();
            if (Rows + Quarantined == limits.MaxRows) throw new DatasetRefusedException(new Refusal(RefusalKind.TooLarge,
                "too-many-rows", $"The file has more than {limits.MaxRows} rows.", "file", "Split it into several datasets."));
            if (Judge(rows) is { } fault)
            {
                Quarantined++;
                if (firstFaults.Count < limits.MaxListedErrors) firstFaults.Add(fault);
                if (Quarantined <= limits.MaxKeptFaults) putAside(fault);
            }
            else
            {
                Rows++;
                for (var i = 0; i < values.Length; i++)
                {
                    if (values[i].Length > 0) votes[i].Add(values[i].Cell.Fits);
                }
                accept();
            }
        }
        RefuseIfHopeless();
    }

    /// <summary>Reads the row's values into <see cref="values"/>; answers why the row is not accepted, or null.</summary>
    private RowFault? Judge(CsvRowReader rows)
    {
        if (rows.Fault is { } fault) return Fault(null, fault);
        if (rows.Count != Shapes.Length) return Fault(null, $"the row has {Counted(rows.Count, "value")} and the header {Counted(Shapes.Length, "column")}");
        if (rows.Whole.Contains('\0')) return Fault(null, "the row holds a NUL character");

        canonical.ResetWrittenCount();
        for (var i = 0; i < Shapes.Length; i++)
        {
            var value = Cell.Trim(rows[i]);
            var start = canonical.WrittenCount;
            if (Cell.IsMissing(value))
            {
                values[i] = new ReadValue(default, start, 0);
                continue;
            }
            var cell = Cell.Read(value, namedLikeADate[i]);
            switch (Shapes[i])
            {
                case ColumnShape.Text:
                    canonical.Write(value);
                    break;
                case ColumnShape.Boolean when (cell.Fits & Fits.Boolean) != 0:
                    canonical.Write(cell.Number != 0 ? "true" : "false");
                    break;
                case ColumnShape.Number when (cell.Fits & Fits.Number) != 0:
                    canonical.Advance(cell.WriteNumber(canonical.GetSpan(Cell.MaxCanonicalChars)));
                    break;
                case ColumnShape.Date when (cell.Fits & Fits.Date) != 0:
                    canonical.Advance(cell.WriteDate(canonical.GetSpan(Cell.MaxCanonicalChars)));
                    break;
                default:
                    return Fault(format.Columns[i], Misfit(Shapes[i], cell, value));
            }
            values[i] = new ReadValue(cell, start, canonical.WrittenCount - start);
        }
        return canonical.WrittenCount == 0 ? Fault(null, "every value of the row is missing") : null;

        RowFault Fault(string? column, string reason) => new(rows.Line, column, reason, rows.Raw);
    }

    private void WriteRow(CsvRowWriter accepted)
    {
        for (var i = 0; i < values.Length; i++)
        {
            var value = canonical.WrittenSpan.Slice(values[i].Start, values[i].Length);
            accepted.Value(value);
            if (value.IsEmpty) profilers[i].AddMissing();
            else profilers[i].Add(Shapes[i], values[i].Cell, value);
        }
        accepted.EndRow();
    }

    private void RefuseIfHopeless()
    {
        if (Rows + Quarantined == 0) throw new DatasetRefusedException(Refusal.Invalid(
            "empty-dataset", "The file has a header and no rows.", "file", "Upload at least one row."));
        if (Rows > 0 && Quarantined <= limits.MaxBadShare * (Rows + Quarantined)) return;
        throw new DatasetRefusedException(Refusal.Invalid(
            "too-many-bad-rows", $"{Quarantined} of {Rows + Quarantined} rows are bad. The first: {Sentence(firstFaults[0])}", "file",
            "Mend the rows listed in errors; if all look wrong, check the header and the delimiter.") with
        {
            Errors = [.. firstFaults.Select(fault => new FieldError(fault.Column ?? "file", Sentence(fault)))],
        });

        static string Sentence(RowFault fault) =>
            fault.Column is null ? $"Line {fault.Line}: {fault.Reason}." : $"Line {fault.Line}, column '{fault.Column}': {fault.Reason}.";
    }

    private static string Counted(int count, string what) => count == 1 ? $"1 {what}" : $"{count} {what}s";

    private static string Misfit(ColumnShape shape, Cell cell, ReadOnlySpan<char> value)
    {
        var shown = $"'{Cell.Shorten(value, LongestShown)}'";
        return shape switch
        {
            ColumnShape.Boolean => $"{shown} is not true or false",
            ColumnShape.Date => $"{shown} is not a date such as 2024-03-31",
            _ when (cell.Fits & Fits.Infinite) != 0 => $"{shown} is infinite or too large for a number",
            _ when Cell.IsCode(value) => $"{shown} is not a number but a code: it has a leading zero or more than 15 digits",
            _ => $"{shown} is not a number",
        };
    }
}
