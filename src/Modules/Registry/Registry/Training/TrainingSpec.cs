using Platform.Features.Contracts;
using Platform.Registry.Contracts;
using Platform.Registry.Onnx;

namespace Platform.Registry.Training;

/// <summary>What to learn and how to keep rows apart for judging it.</summary>
/// <param name="Target">The numeric column to predict.</param>
/// <param name="TimeColumn">The date column that orders the rows, so that the model is tested on rows newer than any it learnt from;
/// null takes the first date column, and without one the split is random.</param>
/// <param name="TestFraction">Part of all rows held out for the test.</param>
/// <param name="CalibrationFraction">Part of the remaining rows held out for the interval.</param>
/// <param name="Seed">The same seed, rows and platform give the same model, byte for byte.</param>
internal sealed record TrainingSpec(
    string Target, string? TimeColumn = null, double TestFraction = 0.2, double CalibrationFraction = 0.2, int Seed = 1);

/// <summary>A column of the canonical CSV.</summary>
internal sealed record TrainingColumn(string Name, DatasetColumnType Type);

/// <summary>A trained model and everything a version keeps of its making.</summary>
/// <param name="Signature">As read back from the file itself.</param>
/// <param name="Metrics">Of the served ONNX graph on the test rows.</param>
/// <param name="Baseline">Of the linear baseline on the same rows: what the model has to beat to be worth its size.</param>
/// <param name="Algorithm">The chosen candidate, for a person.</param>
/// <param name="Evaluation">The test rows, a CSV of row, target and prediction: what two trainings are compared on.</param>
internal sealed record TrainedModel(
    byte[] Onnx,
    ModelSignature Signature,
    OnnxFacts Facts,
    IReadOnlyList<ColumnSpec> Columns,
    string Algorithm,
    TrainingMetrics Metrics,
    TrainingMetrics Baseline,
    ConformalTable Calibration,
    SplitDescription Split,
    ParityReport Parity,
    IReadOnlyList<string> Log,
    byte[] Evaluation);

/// <summary>Regression metrics on rows the model never saw.</summary>
/// <param name="TestRows">How many they were.</param>
/// <param name="Mape">Mean absolute percentage error as a fraction, over rows whose truth is not 0; null when there are none.</param>
/// <param name="Coverage">Part of the rows whose truth lies in the interval; null for the baseline, which has none.</param>
/// <param name="MeanIntervalWidth">In the target's unit.</param>
internal sealed record TrainingMetrics(
    int TestRows, double R2, double Rmse, double Mae, double? Mape, double? Coverage = null, double? MeanIntervalWidth = null);

/// <summary>Which rows went where.</summary>
/// <param name="TimeColumn">The column that ordered them; null when the split was random.</param>
/// <param name="WithoutTarget">Rows left out because their target is empty.</param>
internal sealed record SplitDescription(string? TimeColumn, PartDescription Train, PartDescription Calibration, PartDescription Test, long WithoutTarget);

/// <summary>One part: its rows and, when ordered by time, the first and last time in it (ISO 8601, UTC).</summary>
internal sealed record PartDescription(int Rows, string? From, string? To);

/// <summary>How far the ONNX graph's answers are from ML.NET's own, on rows as they are and with values taken out or never seen.</summary>
/// <param name="MaxRelativeDifference">Beyond a millionth of the target's deviation, which near 0 is all that can be asked.</param>
internal sealed record ParityReport(int Rows, double MaxAbsoluteDifference, double MaxRelativeDifference);
