namespace Platform.Registry.Contracts;

/// <summary>What a model takes and gives, as read from its file. Shapes use -1 for a dimension that is free (the batch).</summary>
/// <param name="Inputs">In the model's order.</param>
/// <param name="Outputs">In the model's order.</param>
public sealed record ModelSignature(IReadOnlyList<TensorSpec> Inputs, IReadOnlyList<TensorSpec> Outputs);

/// <summary>One tensor. <paramref name="Datatype"/> is the Open Inference Protocol's name: BOOL, INT8 … UINT64, FP16, BF16, FP32, FP64, BYTES.</summary>
public sealed record TensorSpec(string Name, string Datatype, IReadOnlyList<long> Shape);

/// <summary>How a named column of the friendly predict call becomes a tensor.</summary>
public enum ColumnKind
{
    /// <summary>A number; FP32, missing is NaN.</summary>
    Number,
    /// <summary>A text value out of a set; BYTES, missing is the empty string.</summary>
    Category,
    /// <summary>A calendar date (ISO 8601, with or without time); FP32 days since 1970-01-01 (UTC), fraction dropped, missing is NaN.</summary>
    Date,
    /// <summary>true or false (also 0 or 1); FP32 1 or 0, missing is NaN.</summary>
    Boolean,
}

/// <summary>One input column of a tabular model. Its tensor has the same name and shape [-1, 1].</summary>
/// <param name="Required">False when the training data had missing values there, so the model has learnt what missing means.</param>
/// <param name="Categories">The values seen in training, for a form's suggestions (at most 200); empty unless a category.</param>
/// <param name="Minimum">Smallest value seen in training (days for a date), for a form and a range hint.</param>
/// <param name="Typical">A typical value (median or mode, as text), to prefill a form.</param>
public sealed record ColumnSpec(string Name, ColumnKind Kind, bool Required, IReadOnlyList<string> Categories, double? Minimum, double? Maximum, string? Typical);

/// <summary>Split-conformal interval table (Mondrian by predicted value; Vovk et al., "Algorithmic Learning in a Random World", 2005, §4.5;
/// finite-sample quantile ceil((n+1)·level)/n of the absolute residuals of rows held out from training).</summary>
/// <param name="Level">Nominal coverage, such as 0.9.</param>
/// <param name="Edges">Ascending prediction values that separate the bins; one fewer than the half-widths.</param>
/// <param name="HalfWidths">Per bin, in the target's unit: the interval is prediction ± half-width.</param>
/// <param name="CalibrationRows">Rows the table was made from.</param>
public sealed record ConformalTable(double Level, IReadOnlyList<double> Edges, IReadOnlyList<double> HalfWidths, int CalibrationRows)
{
    /// <summary>The bin a prediction falls into: an edge belongs to the bin above it. Calibration and serving must agree on this.</summary>
    public static int Bin(IReadOnlyList<double> edges, double prediction)
    {
        var bin = 0;
        while (bin < edges.Count && edges[bin] <= prediction) bin++;
        return bin;
    }

    /// <summary>The half-width of the interval around <paramref name="prediction"/>.</summary>
    public double HalfWidthAt(double prediction) => HalfWidths[Bin(Edges, prediction)];
}

/// <summary>Everything serving needs to know of one version; enough to load and run it without asking the registry again.</summary>
/// <param name="ArtifactSha256">The artifact in the tenant's blob store.</param>
/// <param name="Columns">Named input columns when the model is tabular (trained here, or uploaded with all inputs of shape [-1, 1]); else empty.</param>
/// <param name="PredictionOutput">The output that is "the prediction" of the friendly call; null when the model has several and none was named.</param>
/// <param name="Calibration">Null when the version was uploaded without one: then there is no interval, and the answer says so by leaving it out.</param>
/// <param name="Kind">Which runtime serves the artifact.</param>
/// <param name="Rules">What holds on every prediction it makes, in order; null when nothing does.</param>
public sealed record ServableVersion(
    string Model,
    int Version,
    string ArtifactSha256,
    long ArtifactBytes,
    ModelSignature Signature,
    IReadOnlyList<ColumnSpec> Columns,
    string? PredictionOutput,
    ConformalTable? Calibration,
    ArtifactKind Kind = ArtifactKind.Onnx,
    IReadOnlyList<VersionRule>? Rules = null);
