using System.Globalization;

namespace Platform.Registry.Training;

/// <summary>Rows kept apart: the model learns from <see cref="Train"/>, is calibrated on <see cref="Calibration"/> and judged on
/// <see cref="Test"/>. Candidates are compared within the training part: fitted on <see cref="Fit"/>, judged on <see cref="Validation"/>.</summary>
internal sealed record DataSplit(string? TimeColumn, int[] Train, int[] Calibration, int[] Test)
{
    /// <summary>Below this many rows a finite 90 % interval cannot be calibrated: ceil(0.9·(n+1)) must not exceed n.</summary>
    private const int LeastPart = 10;

    public int[] Fit => Train[..^ValidationRows];

    public int[] Validation => Train[^ValidationRows..];

    private int ValidationRows => Math.Max(LeastPart / 2, Train.Length / 5);

    /// <summary>Oldest rows first to training, newest to the test; in a seeded random order without a time column. Rows without a time count as oldest.</summary>
    public static DataSplit Of(TrainingTable table, TrainingSpec spec, NumberColumn? time)
    {
        int[] order = [.. Enumerable.Range(0, table.Rows)];
        if (time is null) new Random(spec.Seed).Shuffle(order);
        else order = [.. order.OrderBy(r => double.IsNaN(time[r]) ? double.NegativeInfinity : time[r])];

        var test = Math.Max(LeastPart, (int)Math.Round(order.Length * spec.TestFraction));
        var calibration = Math.Max(LeastPart, (int)Math.Round((order.Length - test) * spec.CalibrationFraction));
        var train = order.Length - test - calibration;
        return new DataSplit(time?.Name, order[..train], order[train..(train + calibration)], order[(train + calibration)..]);
    }

    public SplitDescription Describe(NumberColumn? time, long withoutTarget) =>
        new(TimeColumn, Part(Train, time), Part(Calibration, time), Part(Test, time), withoutTarget);

    private static PartDescription Part(int[] rows, NumberColumn? time)
    {
        var times = time is null ? [] : rows.Select(r => time[r]).Where(t => !double.IsNaN(t)).ToList();
        return times.Count == 0 ? new PartDescription(rows.Length, null, null) : new PartDescription(rows.Length, Iso(times.Min()), Iso(times.Max()));
    }

    internal static string Iso(double days)
    {
        var at = DateTime.UnixEpoch.AddDays(days);
        return at.TimeOfDay == TimeSpan.Zero
            ? at.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)
            : at.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
    }
}
