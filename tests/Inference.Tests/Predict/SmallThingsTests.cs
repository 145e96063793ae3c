using CsCheck;
using Platform.Inference.Predict;
using Platform.Kernel;
using Platform.Registry.Contracts;

namespace Inference.Tests.Predict;

public sealed class SmallThingsTests
{
    [Theory]
    [InlineData(double.NegativeInfinity, 5)]
    [InlineData(99.999, 5)]
    [InlineData(100, 10)]
    [InlineData(199, 10)]
    [InlineData(200, 20)]
    [InlineData(1e12, 20)]
    public void A_prediction_takes_the_half_width_of_its_bin_and_an_edge_belongs_above(double prediction, double half) =>
        Intervals.HalfWidth(Plans.Calibration, prediction).ShouldBe(half);

    [Fact]
    public void A_table_without_edges_has_one_width_for_all() => Intervals.HalfWidth(new ConformalTable(0.9, [], [7], 10), 123).ShouldBe(7);

    [Theory]
    [InlineData("sise", "size")]
    [InlineData("SIZE", "size")]
    [InlineData("ciy", "city")]
    [InlineData("soldd", "sold")]
    [InlineData("entirely different", null)]
    [InlineData("", null)]
    public void A_slip_finds_its_name(string typed, string? meant) => Nearest.To(typed, ["size", "city", "sold"]).ShouldBe(meant);

    [Fact]
    public void A_bfloat16_is_the_nearest_there_is() => Gen.Float.Where(float.IsFinite).Sample(value =>
    {
        var back = BFloat16.Value(BFloat16.Bits(value));
        return float.IsInfinity(back) || Math.Abs(back - value) <= Math.Max(Math.Abs(value) / 256, 1e-38f);
    });

    [Fact]
    public void Percentiles_of_an_endpoint_are_within_a_fifth_of_the_truth()
    {
        var figures = new LiveFigures(TimeProvider.System);
        for (var i = 1; i <= 1000; i++) figures.Answered(2, TimeSpan.FromMicroseconds(i * 10));
        figures.Refused(new Refusal(RefusalKind.LimitReached, "rate-limit", "Too fast.", null, null));
        figures.Refused(new Refusal(RefusalKind.LimitReached, "rate-limit", "Too fast.", null, null));
        var view = figures.Read();
        view.P50!.Value.ShouldBeInRange(5 / 1.2, 5 * 1.2);
        view.P99!.Value.ShouldBeInRange(9.9 / 1.2, 9.9 * 1.2);
        view.Slices.Sum(slice => slice.Predictions).ShouldBe(2000);
        view.Slices.Sum(slice => slice.Refusals).ShouldBe(2);
        view.Refusals.ShouldBe(new Dictionary<string, long> { ["rate-limit"] = 2 });
        view.Slices.Count.ShouldBe(60);
    }
}
