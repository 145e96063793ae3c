using CsCheck;
using Platform.Registry.Contracts;
using Platform.Registry.Training;

namespace Registry.Tests.Training;

public sealed class JudgementTests
{
    [Fact]
    public void Few_rows_share_one_interval_which_is_the_conformal_quantile_of_their_errors()
    {
        double[] truth = [.. Enumerable.Range(1, 19).Select(i => (double)i)];
        var table = Judgement.Calibrate(truth, new float[19]);
        table.Edges.ShouldBeEmpty();
        // ceil(20 · 0.9) = 18th smallest of 1 … 19.
        table.HalfWidths.ShouldBe([18]);
        table.CalibrationRows.ShouldBe(19);
    }

    [Fact]
    public void Errors_that_grow_with_the_prediction_give_wider_intervals_there()
    {
        var random = new Random(1);
        float[] predicted = [.. Enumerable.Range(0, 2_000).Select(i => 100f + i)];
        double[] truth = [.. predicted.Select(p => p * (1 + (0.2 * (random.NextDouble() - 0.5))))];
        var table = Judgement.Calibrate(truth, predicted);
        table.HalfWidths.Count.ShouldBe(10);
        table.HalfWidths[9].ShouldBeGreaterThan(5 * table.HalfWidths[0]);
        table.HalfWidthAt(0).ShouldBe(table.HalfWidths[0]);
        table.HalfWidthAt(1e9).ShouldBe(table.HalfWidths[9]);
        table.HalfWidthAt(table.Edges[4]).ShouldBe(table.HalfWidths[5]);
    }

    [Fact]
    public void Equal_predictions_share_a_bin_and_no_bin_is_empty()
    {
        Gen.Select(Gen.Int[0, 3].Array[10, 600], Gen.Int[0, 1000]).Sample((predicted, seed) =>
        {
            var random = new Random(seed);
            var table = Judgement.Calibrate([.. predicted.Select(p => p + random.NextDouble())], [.. predicted.Select(p => (float)p)]);
            table.HalfWidths.Count.ShouldBe(table.Edges.Count + 1);
            table.Edges.ShouldBe(table.Edges.Distinct().Order());
            predicted.Select(p => ConformalTable.Bin(table.Edges, p)).Distinct().Count().ShouldBe(table.HalfWidths.Count);
        }, iter: 200);
    }

    [Fact]
    public void Calibrated_intervals_cover_new_rows_as_often_as_they_say()
    {
        var random = new Random(11);
        (double[] Truth, float[] Predicted) Draw(int rows)
        {
            float[] predicted = [.. Enumerable.Range(0, rows).Select(_ => (float)(random.NextDouble() * 100))];
            return ([.. predicted.Select(p => p + ((random.NextDouble() + random.NextDouble() - 1) * (5 + p)))], predicted);
        }

        var (calibrationTruth, calibrationPredicted) = Draw(3_000);
        var (testTruth, testPredicted) = Draw(20_000);
        var metrics = Judgement.Metrics(testTruth, testPredicted, Judgement.Calibrate(calibrationTruth, calibrationPredicted));
        metrics.Coverage.ShouldNotBeNull().ShouldBeInRange(0.88, 0.92);
    }

    [Fact]
    public void Metrics_are_the_textbook_ones()
    {
        var metrics = Judgement.Metrics([1, 2, 3, 0], [1, 2, 5, 1]);
        metrics.Mae.ShouldBe(0.75);
        metrics.Rmse.ShouldBe(Math.Sqrt(5 / 4.0));
        metrics.R2.ShouldBe(1 - (5 / 5.0));
        metrics.Mape.ShouldNotBeNull().ShouldBe(2 / 9.0, 1e-12);
        Judgement.Metrics([0, 0], [0, 1]).Mape.ShouldBeNull();
    }
}
