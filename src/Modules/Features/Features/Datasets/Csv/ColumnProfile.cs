using Platform.Features.Contracts;

namespace Platform.Features.Datasets.Csv;

/// <summary>What a person wants to know of a column before training on it, counted over the accepted rows.</summary>
/// <param name="Distinct">See <see cref="DatasetColumn"/>.</param>
/// <param name="Min">Smallest number or first date, in canonical form; null for other types.</param>
/// <param name="Top">The most frequent values of a text or boolean column, the most frequent first; empty when there are too many to count.</param>
internal sealed record ColumnProfile(
    string Name, DatasetColumnType Type, long Missing, int Distinct, string? Min, string? Max, double? Mean, IReadOnlyList<ValueCount> Top);

/// <summary>A value and how many accepted rows have it.</summary>
internal sealed record ValueCount(string Value, long Rows);

/// <summary>Gathers a column's profile while its accepted values pass by.</summary>
internal sealed class ColumnProfiler(string name, DistinctValues distinct)
{
    private const int TopValues = 10;

    private long missing;
    private long present;
    private double mean;
    private bool integers = true;
    private Cell min;
    private Cell max;

    public void AddMissing() => missing++;

    public void Add(ColumnShape shape, Cell cell, ReadOnlySpan<char> canonical)
    {
        distinct.Add(canonical);
        present++;
        if (shape is not (ColumnShape.Number or ColumnShape.Date)) return;
        if (present == 1) min = max = cell;
        if (shape is ColumnShape.Date)
        {
            if (cell.Date < min.Date) min = cell;
            if (cell.Date > max.Date) max = cell;
            return;
        }
        if (cell.Number < min.Number) min = cell;
        if (cell.Number > max.Number) max = cell;
        integers &= cell.IsInteger;
        // The running mean, in a form that does not overflow for values of opposite sign near the largest double.
        mean += cell.Number / present - mean / present;
    }

    public ColumnProfile Finish(ColumnShape shape)
    {
        var type = present == 0 ? DatasetColumnType.Text : shape switch
        {
            ColumnShape.Boolean => DatasetColumnType.Boolean,
            ColumnShape.Date => DatasetColumnType.Date,
            ColumnShape.Number => integers ? DatasetColumnType.Integer : DatasetColumnType.Number,
            ColumnShape.Text => DatasetColumnType.Text,
            _ => throw new ArgumentOutOfRangeException(nameof(shape)),
        };
        var numeric = type is DatasetColumnType.Integer or DatasetColumnType.Number;
        var ordered = numeric || type is DatasetColumnType.Date;
        return new ColumnProfile(
            name, type, missing, distinct.Count,
            ordered ? Canonical(min) : null, ordered ? Canonical(max) : null, numeric ? mean : null,
            ordered ? [] : distinct.Top(TopValues));

        string Canonical(Cell cell)
        {
            Span<char> text = stackalloc char[Cell.MaxCanonicalChars];
            return text[..(numeric ? cell.WriteNumber(text) : cell.WriteDate(text))].ToString();
        }
    }
}
