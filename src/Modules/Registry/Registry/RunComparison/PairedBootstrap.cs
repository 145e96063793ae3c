namespace Platform.Registry.RunComparison;

/// <summary>What resampling says of the mean of differences, each of one row.</summary>
/// <param name="Mean">Of the differences, first less second.</param>
/// <param name="Lower">The 2.5th percentile of the resampled means; <paramref name="Upper"/> the 97.5th: the percentile interval at 95 %.</param>
/// <param name="ProbabilityLower">The share of resampled means below nought, those at nought counted half.</param>
/// <param name="PValue">Two-sided: twice the smaller of the shares at or below and at or above nought.</param>
internal sealed record BootstrapAnswer(double Mean, double Lower, double Upper, double ProbabilityLower, double PValue, int Rows, int Resamples);

/// <summary>The bootstrap of a mean of paired differences.</summary>
/// <remarks>Efron and Tibshirani, An Introduction to the Bootstrap (1993). The pair is the unit (section 8.3: what is resampled are rows with both models' errors on them, so that what
/// makes a row hard for both takes nothing from the comparison): d_i = loss_a(i) − loss_b(i); θ* is the mean of n of them drawn with replacement, B times (section 6.2, algorithm 6.1).
/// The interval is the percentile interval [θ*(0.025), θ*(0.975)] (section 13.3), percentiles interpolated as Hyndman and Fan's seventh. The two-sided p-value is the level at which that
/// interval would just touch nought, the achieved significance level of section 15.4, 2 · min(#{θ* ≤ 0} + 1, #{θ* ≥ 0} + 1) / (B + 1), at most 1; the ones added count the sample itself,
/// so that it is never 0 (Davison and Hinkley, Bootstrap Methods and their Application (1997), section 4.2).</remarks>
internal static class PairedBootstrap
{
    public const int DefaultResamples = 10_000;

    /// <summary>Draws that are made at most, some seconds' worth.</summary>
    public const long MostDraws = 1_000_000_000;

    /// <param name="differences">One of each row.</param>
    /// <param name="seed">The same seed gives the same answer.</param>
    public static BootstrapAnswer Of(ReadOnlySpan<double> differences, int resamples, ulong seed, CancellationToken ct)
    {
        var n = differences.Length;
        var sum = 0.0;
        foreach (var difference in differences) sum += difference;
        var mean = sum / n;
        var means = new double[resamples];
        var state = seed;
        for (var b = 0; b < resamples; b++)
        {
            if ((b & 0xFF) == 0) ct.ThrowIfCancellationRequested();
            var drawn = 0.0;
            for (var i = 0; i < n; i++) drawn += differences[(int)Math.BigMul(Next(ref state), (ulong)n, out _)];
            means[b] = drawn / n;
        }

        Array.Sort(means);
        int below = 0, at = 0;
        foreach (var resampled in means)
        {
            if (resampled < 0) below++;
            else if (resampled == 0) at++;
        }

        var above = resamples - below - at;
        return new(mean, Percentile(means, 0.025), Percentile(means, 0.975), (below + (at / 2.0)) / resamples, Math.Min(1, 2.0 * (Math.Min(below, above) + at + 1) / (resamples + 1)), n, resamples);
    }

    private static double Percentile(double[] sorted, double share)
    {
        var at = share * (sorted.Length - 1);
        var whole = (int)at;
        return whole + 1 < sorted.Length ? sorted[whole] + ((at - whole) * (sorted[whole + 1] - sorted[whole])) : sorted[whole];
    }

    /// <summary>SplitMix64 (Steele, Lea and Flood, 2014): small, quick, and the same on every machine, which <see cref="Random"/> does not promise.</summary>
    private static ulong Next(ref ulong state)
    {
        var z = state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
