namespace Platform.Inference.Predict.Admission;

/// <summary>How much of a calendar month's quota (UTC) is used. Starts from the journal's own count and moves with every prediction,
/// before the journal knows of it; what failed is given back.</summary>
internal sealed class MonthlyCount
{
    private volatile Month current = new(DateTimeOffset.MinValue);

    /// <summary>What is used of the month <paramref name="now"/> is in.</summary>
    public long Used(DateTimeOffset now) => Of(now).Used;

    /// <summary>When the month ends and the count begins anew.</summary>
    public DateTimeOffset EndsAt(DateTimeOffset now) => Of(now).Ends;

    /// <summary>Adds what the journal held when this server started.</summary>
    public void Seed(long used, DateTimeOffset now) => Interlocked.Add(ref Of(now).Used, used);

    /// <summary>Takes so many, or none when that would go over the quota. What is taken can be given back to the same month.</summary>
    public bool TryTake(int units, long? quota, DateTimeOffset now, out Taken taken)
    {
        var month = Of(now);
        taken = new Taken(month, units);
        var used = Interlocked.Read(ref month.Used);
        while (quota is null || units <= quota - used)
        {
            var was = Interlocked.CompareExchange(ref month.Used, used + units, used);
            if (was == used) return true;
            used = was;
        }
        taken = default;
        return false;
    }

    private Month Of(DateTimeOffset now)
    {
        var month = current;
        while (now >= month.Ends)
        {
            var first = new DateTimeOffset(now.Year, now.Month, 1, 0, 0, 0, TimeSpan.Zero);
            var next = new Month(first.AddMonths(1));
            var was = Interlocked.CompareExchange(ref current, next, month);
            month = was == month ? next : was;
        }
        return month;
    }

    /// <summary>A part of the quota, taken for one call.</summary>
    internal readonly struct Taken(object month, int units)
    {
        public void GiveBack()
        {
            if (month is Month of) Interlocked.Add(ref of.Used, -units);
        }
    }

    private sealed class Month(DateTimeOffset ends)
    {
        public long Used;

        public DateTimeOffset Ends { get; } = ends;
    }
}
