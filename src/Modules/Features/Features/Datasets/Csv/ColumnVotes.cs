namespace Platform.Features.Datasets.Csv;

/// <summary>What a column's values must fit. Whether numbers are integers is known only at the end and changes nothing on the way.</summary>
internal enum ColumnShape { Text, Boolean, Number, Date }

/// <summary>Counts over all rows, not over a sample, what a column's values can be read as: a surprise in the last row counts as well.</summary>
internal sealed class ColumnVotes
{
    private long present;
    private long booleans;
    private long dates;
    private long numbers;
    private long infinite;

    public void Add(Fits fits)
    {
        present++;
        if ((fits & Fits.Boolean) != 0) booleans++;
        if ((fits & Fits.Date) != 0) dates++;
        if ((fits & Fits.Number) != 0) numbers++;
        if ((fits & Fits.Infinite) != 0) infinite++;
    }

    /// <summary>The shape that enough values fit. A column only ever narrows (text, number, date), so that repeated voting ends.
    /// Infinite values do not vote: they are bad values of a column of numbers, and no reason to call it text.</summary>
    public ColumnShape Decide(ColumnShape current, double share)
    {
        if (current is ColumnShape.Boolean or ColumnShape.Date) return current;
        if (Enough(dates, present)) return ColumnShape.Date;
        if (Enough(numbers, present - infinite)) return ColumnShape.Number;
        return Enough(booleans, present) ? ColumnShape.Boolean : current;

        bool Enough(long fitting, long of) => fitting > 0 && fitting >= share * of;
    }
}
