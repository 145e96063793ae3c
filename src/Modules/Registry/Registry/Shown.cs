namespace Platform.Registry;

/// <summary>Numbers as the pages show them.</summary>
internal static class Shown
{
    /// <summary>Whole numbers from 1,000 on, four digits below.</summary>
    public static string Number(double? value) => value is not { } v ? "" : Math.Abs(v) >= 1000 ? v.ToString("N0") : v.ToString("G4");

    /// <summary>A measured figure, to six digits, without a trail of noughts.</summary>
    public static string Figure(double? value) => value switch
    {
        null => "",
        { } v when !double.IsFinite(v) => double.IsNaN(v) ? "NaN" : v > 0 ? "∞" : "−∞",
        { } v when v == Math.Truncate(v) && Math.Abs(v) < 1e15 => v.ToString("#,0"),
        { } v when Math.Abs(v) >= 1_000 && Math.Abs(v) < 1e15 => v.ToString("#,0.##"),
        { } v => v.ToString("G6"),
    };

    /// <summary>How long something took.</summary>
    public static string Duration(TimeSpan took) => took switch
    {
        { TotalSeconds: < 60 } => $"{took.TotalSeconds:0.0} s",
        { TotalHours: < 1 } => $"{took.Minutes} min {took.Seconds} s",
        { TotalDays: < 1 } => $"{took.Hours} h {took.Minutes} min",
        _ => $"{(long)took.TotalDays} d {took.Hours} h",
    };

    public static string Size(long bytes) => bytes switch
    {
        < 1 << 10 => $"{bytes} B",
        < 1 << 20 => $"{bytes / 1024.0:F1} KiB",
        < 1 << 30 => $"{bytes / 1048576.0:F1} MiB",
        _ => $"{bytes / 1073741824.0:F2} GiB",
    };
}
