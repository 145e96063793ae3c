namespace Platform.Registry;

/// <summary>Numbers as the pages show them.</summary>
internal static class Shown
{
    /// <summary>Whole numbers from 1,000 on, four digits below.</summary>
    public static string Number(double? value) => value is not { } v ? "" : Math.Abs(v) >= 1000 ? v.ToString("N0") : v.ToString("G4");

    public static string Size(long bytes) => bytes switch
    {
        < 1 << 10 => $"{bytes} B",
        < 1 << 20 => $"{bytes / 1024.0:F1} KiB",
        < 1 << 30 => $"{bytes / 1048576.0:F1} MiB",
        _ => $"{bytes / 1073741824.0:F2} GiB",
    };
}
