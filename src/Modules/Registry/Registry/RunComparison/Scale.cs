namespace Platform.Registry.RunComparison;

/// <summary>From values to places along an axis, with ticks at round ones.</summary>
internal sealed class Scale
{
    internal enum Kind
    {
        Number,
        /// <summary>Steps: no ticks between whole numbers.</summary>
        Whole,
        /// <summary>Milliseconds since 1970.</summary>
        Time,
    }

    private readonly double low, high;
    private readonly bool log;
    private readonly Kind kind;

    private Scale(double low, double high, bool log, Kind kind, IReadOnlyList<double> ticks) => (this.low, this.high, this.log, this.kind, Ticks) = (low, high, log, kind, ticks);

    public IReadOnlyList<double> Ticks { get; }

    /// <param name="low">Above nought where the scale is logarithmic.</param>
    /// <param name="about">How many ticks there is room for.</param>
    public static Scale Of(double low, double high, int about, bool log, Kind kind)
    {
        if (log) return Logarithmic(low, high, about);
        if (high <= low) (low, high) = kind is Kind.Number ? Around(low) : (low, low + 1);
        if (kind is Kind.Time) return new(low, high, false, kind, [.. Enumerable.Range(0, about).Select(i => low + ((high - low) * i / (about - 1)))]);
        var step = Round((high - low) / about);
        if (kind is Kind.Whole) step = Math.Max(1, Math.Round(step));
        // Numbers end at round ones above and below; steps end where they end.
        var (from, to) = kind is Kind.Number ? (Math.Floor(low / step) * step, Math.Ceiling(high / step) * step) : (low, high);
        List<double> ticks = [];
        for (var i = Math.Ceiling(from / step); (i * step) <= to + (step * 1e-6) && ticks.Count < 50; i++) ticks.Add(i * step);
        return new(from, to, false, kind, ticks);
    }

    /// <summary>Between 0 and 1 for what lies between the ends.</summary>
    public double Share(double value) => log ? (Math.Log10(value) - low) / (high - low) : (value - low) / (high - low);

    public string Label(double tick) => kind is Kind.Time
        ? DateTimeOffset.FromUnixTimeMilliseconds((long)Math.Clamp(tick, -62_135_596_800_000, 253_402_300_799_999)).ToString(high - low > 2 * 86_400_000.0 ? "yyyy-MM-dd" : high - low > 120_000 ? "HH:mm" : "HH:mm:ss.f")
        : kind is Kind.Whole ? tick.ToString(Math.Abs(tick) < 1e15 ? "#,0" : "G4")
        : Math.Abs(tick) < Math.Abs(high - low) * 1e-9 ? "0" : tick.ToString(Math.Abs(tick) is >= 1e6 or < 1e-4 ? "0.###e0" : "#,0.######");

    private static Scale Logarithmic(double low, double high, int about)
    {
        var (from, to) = (Math.Floor(Math.Log10(low)), Math.Ceiling(Math.Log10(high)));
        if (to <= from) to = from + 1;
        var every = Math.Max(1, Math.Ceiling((to - from) / (about + 1)));
        List<double> ticks = [];
        for (var power = from; power <= to; power += every) ticks.Add(Math.Pow(10, power));
        return new(from, to, true, Kind.Number, ticks);
    }

    /// <summary>Values that are all the same stand in the middle.</summary>
    private static (double, double) Around(double value) => value == 0 ? (-1, 1) : (value - (Math.Abs(value) / 2), value + (Math.Abs(value) / 2));

    /// <summary>1, 2 or 5 times a power of ten.</summary>
    private static double Round(double step)
    {
        var power = Math.Pow(10, Math.Floor(Math.Log10(step)));
        return (step / power) switch { <= 1 => power, <= 2 => 2 * power, <= 5 => 5 * power, _ => 10 * power };
    }
}
