namespace Platform.Registry.Training;

/// <summary>What the model sees of a date beside the day itself: where in the year (as a point on a circle) and which day of the week.
/// Whole-number arithmetic and tables only, so that ML.NET and ONNX Runtime get the same bits and no tree branches differently.</summary>
internal static class DateParts
{
    /// <summary>The days of years 1 to 9999; anything beyond is held at the edge.</summary>
    public const float FirstDay = -719_162;
    public const float LastDay = 2_932_896;

    /// <summary>A Gregorian year is 365.2425 days; here in ten-thousandths of a day.</summary>
    public const long DayScale = 10_000;
    public const long YearLength = 3_652_425;

    public const int PerDate = 3;

    /// <summary>1970-01-01 was a Thursday: adding 3 makes Monday 0.</summary>
    public const long WeekdayShift = 3;

    public static readonly float[] Sine = Table(Math.Sin);
    public static readonly float[] Cosine = Table(Math.Cos);

    /// <summary>Season sine, season cosine and weekday (Monday 0).</summary>
    public static (float Sine, float Cosine, float Weekday) Of(float days)
    {
        var day = (long)Math.Floor(Math.Clamp(days, FirstDay, LastDay));
        var season = Modulo(day * DayScale, YearLength) / DayScale;
        return (Sine[season], Cosine[season], Modulo(day + WeekdayShift, 7));
    }

    private static long Modulo(long value, long divisor) => ((value % divisor) + divisor) % divisor;

    private static float[] Table(Func<double, double> circle) =>
        [.. Enumerable.Range(0, 366).Select(day => (float)circle(2 * Math.PI * day * DayScale / YearLength))];
}
