using System.Globalization;
using System.Text;
using Platform.Registry.Contracts;

namespace Platform.Registry.Training;

/// <summary>Numbers that say how good predictions are, and how far off they may be.</summary>
internal static class Judgement
{
    public const double Level = 0.9;

    /// <summary>More rows would tell two models apart no better.</summary>
    private const int MostEvaluated = 200_000;

    private const int MostBins = 10;

    /// <summary>With fewer rows a bin's 90 % quantile is one of its two largest residuals, which is noise.</summary>
    private const int LeastRowsPerBin = 40;

    public static double Rmse(double[] truth, float[] predicted) => Math.Sqrt(truth.Zip(predicted, (t, p) => (t - p) * (t - p)).Average());

    /// <summary>R² = 1 − Σ(t−p)² / Σ(t−mean t)²; against rows that are all the same it is 0.</summary>
    public static TrainingMetrics Metrics(double[] truth, float[] predicted, ConformalTable? intervals = null)
    {
        var mean = truth.Average();
        var spread = truth.Sum(t => (t - mean) * (t - mean));
        var error = truth.Zip(predicted, (t, p) => (t - p) * (t - p)).Sum();
        double[] relative = [.. truth.Zip(predicted).Where(x => x.First != 0).Select(x => Math.Abs((x.First - x.Second) / x.First))];
        return new TrainingMetrics(
            truth.Length,
            spread > 0 ? 1 - (error / spread) : 0,
            Rmse(truth, predicted),
            truth.Zip(predicted, (t, p) => Math.Abs(t - p)).Average(),
            relative.Length > 0 ? relative.Average() : null,
            intervals is null ? null : truth.Zip(predicted).Average(x => Math.Abs(x.First - x.Second) <= intervals.HalfWidthAt(x.Second) ? 1.0 : 0.0),
            intervals is null ? null : predicted.Average(p => 2 * intervals.HalfWidthAt(p)));
    }

    /// <summary>Truth and prediction of each test row (as doubles, so that what is computed of the text is what was computed of the row), the last <see cref="MostEvaluated"/> of them, as a CSV. Rows are counted from 0 among those that have a value in the target.</summary>
    public static byte[] Evaluation(int[] rows, double[] truth, float[] predicted)
    {
        var csv = new StringBuilder("row,target,prediction\n");
        for (var i = Math.Max(0, rows.Length - MostEvaluated); i < rows.Length; i++) csv.Append(CultureInfo.InvariantCulture, $"{rows[i]},{truth[i]:R},{(double)predicted[i]:R}\n");
        return Encoding.UTF8.GetBytes(csv.ToString());
    }

    /// <summary>Mondrian split conformal: rows held out from training in bins of equal count by prediction, each with the
    /// ceil((n+1)·level)-th smallest absolute residual as its half-width. Few rows make fewer bins.</summary>
    public static ConformalTable Calibrate(double[] truth, float[] predicted)
    {
        (double Predicted, double Residual)[] rows =
            [.. truth.Zip(predicted, (t, p) => (Predicted: (double)p, Residual: Math.Abs(t - p))).OrderBy(r => r.Predicted)];
        var bins = Math.Clamp(rows.Length / LeastRowsPerBin, 1, MostBins);

        // Trees predict the same value for many rows: an edge that would fall between equal predictions is given up, which merges the bins beside it.
        double[] edges = [.. Enumerable.Range(1, bins - 1).Select(b => rows.Length * b / bins)
            .Where(at => rows[at].Predicted > rows[at - 1].Predicted).Select(at => rows[at].Predicted).Distinct()];
        var halfWidths = new double[edges.Length + 1];
        for (int bin = 0; bin < halfWidths.Length; bin++)
        {
            double[] residuals = [.. rows.Where(r => ConformalTable.Bin(edges, r.Predicted) == bin).Select(r => r.Residual).Order()];
            var rank = (int)Math.Ceiling((residuals.Length + 1) * Level);
            halfWidths[bin] = residuals[Math.Min(rank, residuals.Length) - 1];
        }

        return new ConformalTable(Level, edges, halfWidths, rows.Length);
    }
}
