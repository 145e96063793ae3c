namespace Platform.Registry.Tracking;

/// <summary>A stretch of a curve. What a chart draws of it is a line from its first value to its last and a band from its least to its greatest, so that a spike of one value
/// among a million is seen.</summary>
/// <param name="From">The first step, or time in milliseconds since 1970, that has a value in it.</param>
/// <param name="First">Its first value that is a number; null, as the next three are, where it has only NaN and infinities: the curve has a gap there.</param>
/// <param name="MinimumAt">Where the least value is.</param>
/// <param name="Values">How many there are, those that are no numbers counted.</param>
/// <param name="NotFinite">How many are NaN or infinite.</param>
internal sealed record CurveBucket(long From, long To, double? First, double? Minimum, double? Maximum, double? Last, long MinimumAt, long MaximumAt, long Values, long NotFinite);

/// <summary>Gathers a metric's values into buckets of equal width, or one for each value where they are few. The values may come in any order.</summary>
/// <param name="low">The least x there will be.</param>
internal sealed class MetricCurve(long count, long low, long high, int points)
{
    private readonly Gathered?[] buckets = new Gathered?[Math.Max(1, points)];
    private readonly List<(long X, (long, long) Order, double Value)> each = [];
    private readonly double width = ((double)high - low) / Math.Max(1, points);

    /// <summary>Whether every value has a bucket of its own, so that nothing is thinned.</summary>
    public bool IsExact { get; } = count <= points;

    public long Count => count;

    public long NotANumber { get; private set; }

    public long Infinite { get; private set; }

    /// <param name="x">Where it is drawn.</param>
    /// <param name="order">What tells first from last where several are at one place.</param>
    public void Add(long x, (long Timestamp, long Step) order, double value)
    {
        if (double.IsNaN(value)) NotANumber++;
        else if (double.IsInfinity(value)) Infinite++;
        if (IsExact) each.Add((x, order, value));
        else (buckets[width > 0 ? Math.Min(buckets.Length - 1, (int)(((double)x - low) / width)) : 0] ??= new(x)).Add(x, order, value);
    }

    public IReadOnlyList<CurveBucket> Buckets() => IsExact
        ? [.. each.OrderBy(e => e.X).ThenBy(e => e.Order).Select(e => double.IsFinite(e.Value) ? new CurveBucket(e.X, e.X, e.Value, e.Value, e.Value, e.Value, e.X, e.X, 1, 0) : new CurveBucket(e.X, e.X, null, null, null, null, e.X, e.X, 1, 1))]
        : [.. buckets.OfType<Gathered>().Select(b => b.Shown())];

    private sealed class Gathered(long at)
    {
        private long from = at, to = at, values, notFinite, minimumAt = at, maximumAt = at;
        private double? first, minimum, maximum, last;
        private (long X, (long, long) Order) firstAt, lastAt;

        public void Add(long x, (long, long) order, double value)
        {
            (from, to, values) = (Math.Min(from, x), Math.Max(to, x), values + 1);
            if (!double.IsFinite(value))
            {
                notFinite++;
                return;
            }

            var here = (x, order);
            if (first is null || here.CompareTo(firstAt) < 0) (first, firstAt) = (value, here);
            if (last is null || here.CompareTo(lastAt) >= 0) (last, lastAt) = (value, here);
            // Of equal values the one furthest left counts, so that the answer does not depend on the order they came in.
            if (minimum is null || value < minimum || (value == minimum && x < minimumAt)) (minimum, minimumAt) = (value, x);
            if (maximum is null || value > maximum || (value == maximum && x < maximumAt)) (maximum, maximumAt) = (value, x);
        }

        public CurveBucket Shown() => new(from, to, first, minimum, maximum, last, minimumAt, maximumAt, values, notFinite);
    }
}
