using Platform.Registry.Contracts;

namespace Platform.Inference.Predict;

/// <summary>Prediction intervals by Mondrian split conformal prediction: the half-width of the prediction's bin to either side
/// (Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005, §4.5).</summary>
internal static class Intervals
{
    /// <summary>An edge belongs to the bin above it.</summary>
    public static double HalfWidth(ConformalTable table, double prediction)
    {
        var bin = 0;
        while (bin < table.Edges.Count && prediction >= table.Edges[bin]) bin++;
        return table.HalfWidths[bin];
    }

    public static (double Lower, double Upper) Around(ConformalTable table, double prediction)
    {
        var half = HalfWidth(table, prediction);
        return (prediction - half, prediction + half);
    }
}
