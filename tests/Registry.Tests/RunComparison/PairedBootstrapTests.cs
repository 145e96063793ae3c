using CsCheck;
using Platform.Registry.RunComparison;

namespace Registry.Tests.RunComparison;

public sealed class PairedBootstrapTests
{
    private const int Resamples = 2_000;

    [Fact]
    public void Identical_predictions_differ_by_exactly_nothing()
    {
        var answer = PairedBootstrap.Of(new double[250], Resamples, 1, default);
        (answer.Mean, answer.Lower, answer.Upper, answer.PValue, answer.ProbabilityLower).ShouldBe((0, 0, 0, 1, 0.5));
    }

    [Fact]
    public void The_same_seed_answers_the_same_and_another_nearly_so()
    {
        var differences = Normal(400, 0.1, 1, 3);
        var first = PairedBootstrap.Of(differences, Resamples, 7, default);
        PairedBootstrap.Of(differences, Resamples, 7, default).ShouldBe(first);
        var other = PairedBootstrap.Of(differences, Resamples, 8, default);
        other.ShouldNotBe(first);
        other.Lower.ShouldBe(first.Lower, 0.02);
    }

    [Fact]
    public void Swapping_the_runs_turns_every_sign() => Gen.Double[-100, 100].Array[2, 60].Sample(differences =>
    {
        var one = PairedBootstrap.Of(differences, 200, 5, default);
        var other = PairedBootstrap.Of(differences.Select(d => -d).ToArray(), 200, 5, default);
        Near(other.Mean, -one.Mean);
        Near(other.Lower, -one.Upper);
        Near(other.Upper, -one.Lower);
        Near(other.PValue, one.PValue);
        Near(other.ProbabilityLower, 1 - one.ProbabilityLower);
    }, iter: 200);

    [Fact]
    public void The_interval_holds_the_mean_and_grows_with_the_scale() => Gen.Select(Gen.Double[-10, 10].Array[5, 80], Gen.Double[0.5, 50]).Sample((differences, scale) =>
    {
        var one = PairedBootstrap.Of(differences, 400, 2, default);
        one.Lower.ShouldBeLessThanOrEqualTo(one.Mean + 1e-9);
        one.Upper.ShouldBeGreaterThanOrEqualTo(one.Mean - 1e-9);
        one.PValue.ShouldBeInRange(1.0 / 401, 1);
        var scaled = PairedBootstrap.Of(differences.Select(d => d * scale).ToArray(), 400, 2, default);
        Near(scaled.Upper - scaled.Lower, scale * (one.Upper - one.Lower));
    }, iter: 100);

    /// <summary>Of many rows the mean is as good as normal: the interval is mean ± 1.96 s/√n (s with n under the root, as the resampling has it), p is 2·Φ(−|z|).</summary>
    [Theory]
    [InlineData(0.0, 11)]
    [InlineData(0.05, 12)]
    [InlineData(-0.08, 13)]
    public void Of_many_rows_it_is_what_the_normal_approximation_says(double shift, int seed)
    {
        var differences = Normal(2_000, shift, 1, seed);
        var mean = differences.Average();
        var error = Math.Sqrt(differences.Sum(d => (d - mean) * (d - mean)) / differences.Length / differences.Length);
        var answer = PairedBootstrap.Of(differences, 10_000, 1, default);
        answer.Mean.ShouldBe(mean, 1e-12);
        answer.Lower.ShouldBe(mean - (1.959964 * error), 0.06 * error);
        answer.Upper.ShouldBe(mean + (1.959964 * error), 0.06 * error);
        answer.PValue.ShouldBe(2 * Phi(-Math.Abs(mean / error)), 0.02);
    }

    /// <summary>All 3³ resamples of three differences can be written down: their means are -1 (1 of 27), −1/3 (3), 0 (3), 1/3 (3), 2/3 (6), 1 (1), 4/3 (3), 5/3 … of {−1, 1, 2}.</summary>
    [Fact]
    public void Of_three_rows_the_shares_are_those_of_all_resamples_there_are()
    {
        double[] differences = [-1, 1, 2];
        var all = (from a in differences from b in differences from c in differences select (a + b + c) / 3).ToArray();
        var answer = PairedBootstrap.Of(differences, 100_000, 1, default);
        answer.ProbabilityLower.ShouldBe((all.Count(m => m < 0) + (all.Count(m => m == 0) / 2.0)) / 27, 0.005);
        answer.PValue.ShouldBe(2.0 * Math.Min(all.Count(m => m <= 0), all.Count(m => m >= 0)) / 27, 0.01);
        answer.Lower.ShouldBe(-1, 1e-9);
        answer.Upper.ShouldBe(2, 1e-9);
    }

    [Fact]
    public void In_19_of_20_worlds_the_interval_holds_the_truth()
    {
        const int Worlds = 400;
        var held = Enumerable.Range(0, Worlds).Count(world => PairedBootstrap.Of(Normal(80, 0.3, 1, 1_000 + world), 500, 1, default) is { } answer && answer.Lower <= 0.3 && answer.Upper >= 0.3);
        (held / (double)Worlds).ShouldBeInRange(0.90, 0.98);
    }

    private static void Near(double one, double other) => one.ShouldBe(other, 1e-9 * Math.Max(1, Math.Abs(other)));

    private static double[] Normal(int n, double mean, double deviation, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, n).Select(_ => mean + (deviation * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];
    }

    /// <summary>The normal distribution, by Abramowitz and Stegun 26.2.17 (error below 7.5e-8).</summary>
    private static double Phi(double z)
    {
        var t = 1 / (1 + (0.2316419 * Math.Abs(z)));
        var tail = Math.Exp(-z * z / 2) / Math.Sqrt(2 * Math.PI) * t * (0.319381530 + (t * (-0.356563782 + (t * (1.781477937 + (t * (-1.821255978 + (t * 1.330274429))))))));
        return z < 0 ? tail : 1 - tail;
    }
}
