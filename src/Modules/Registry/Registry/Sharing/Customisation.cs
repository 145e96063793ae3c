using Microsoft.ML.OnnxRuntime;
using Platform.Features.Contracts;
using Platform.Kernel;
using Platform.Registry.Contracts;
using Platform.Registry.Training;

namespace Platform.Registry.Sharing;

/// <summary>The version that one was derived from, and whose.</summary>
internal sealed record BaseVersion(string Tenant, string Model, int Version, string ArtifactSha256);

/// <summary>How a derived version was fitted to the deriving tenant's own rows.</summary>
/// <param name="DatasetSha256">The rows, by their content.</param>
/// <param name="FittedRows">Rows that it was fitted on; 0 where only the interval was made.</param>
/// <param name="Slope">The base's answer is multiplied by this, inside the graph; null unless affine.</param>
/// <param name="Intercept">And this is added to it.</param>
/// <param name="Before">How good the base is on rows that nothing was fitted on.</param>
/// <param name="After">How good the derived version is on the same rows.</param>
/// <param name="Knots">What its answers become, straight between and flat beyond; null unless isotonic.</param>
/// <param name="Tuning">How the correction of its answers was trained; null unless fine-tuned.</param>
internal sealed record Customisation(
    CustomisationMethod Method, string Dataset, string DatasetSha256, string Target, int FittedRows, double? Slope, double? Intercept, TrainingMetrics Before, TrainingMetrics After,
    IReadOnlyList<Knot>? Knots = null, Tuning? Tuning = null);

/// <summary>How a correction was trained.</summary>
/// <param name="Split">Trained on the first part, the interval made from the second, measured on the third.</param>
/// <param name="Parity">How far the graph's answers are from the base's plus ML.NET's own correction.</param>
/// <param name="LogSha256">The log, a text blob of the tenant.</param>
internal sealed record Tuning(string Algorithm, SplitDescription Split, ParityReport Parity, string LogSha256);

internal enum CalibrationMethod
{
    /// <summary>The answers stay as they are and get an interval.</summary>
    Interval,
    /// <summary>The answers are multiplied and shifted to fit the rows, and get an interval.</summary>
    Affine,
    /// <summary>The answers go through the rising function that fits the rows best, and get an interval.</summary>
    Isotonic,
}

/// <summary>Every way to fit a version: those of a calibration, and the training of a correction.</summary>
internal enum CustomisationMethod
{
    Interval = CalibrationMethod.Interval,
    Affine = CalibrationMethod.Affine,
    Isotonic = CalibrationMethod.Isotonic,
    /// <summary>A model that was trained on the rows is added to the answers.</summary>
    FineTuning,
}

/// <summary>Fits a base model to rows of its deriver's, in a child process. A calibration is fitted on every second row, and makes the interval table from the others.</summary>
internal sealed class CustomiseWork : IChildWork
{
    public const string WorkName = "customise";

    /// <summary>Fewer say nothing of a 90 % interval.</summary>
    private const int LeastRows = 40;

    /// <param name="Field">Where the caller asked for it, for refusals.</param>
    /// <param name="Output">The prediction's name.</param>
    internal sealed record Header(
        CustomisationMethod Method, string Field, long ModelBytes, ModelSignature Signature, IReadOnlyList<ColumnSpec> Columns, string Output, IReadOnlyList<TrainingColumn> Dataset, string Target);

    /// <param name="Tuning">Its log is not stored yet, and so has no hash.</param>
    internal sealed record Fitted(
        int FittedRows, double? Slope, double? Intercept, TrainingMetrics Before, TrainingMetrics After, ConformalTable Calibration,
        IReadOnlyList<Knot>? Knots = null, Tuning? Tuning = null, IReadOnlyList<string>? Log = null);

    public string Name => WorkName;

    public async Task RunAsync(Stream input, Stream output, IProgress<ChildProgress> progress, CancellationToken ct)
    {
        var header = await ChildFrames.ReadHeaderAsync<Header>(input, ct);
        var model = new byte[header.ModelBytes];
        await input.ReadExactlyAsync(model, ct);
        var table = await TrainingTable.ReadAsync(input, header.Dataset, header.Target, ct);
        if (table.Refusal is { } unreadable) throw new ChildWorkRefusedException(unreadable with { Field = header.Field + ".dataset" });
        var least = header.Method is CustomisationMethod.FineTuning ? Trainer.LeastRows : LeastRows;
        if (table.Value.Rows < least)
            throw new ChildWorkRefusedException(Refusal.Invalid("too-few-rows", $"The dataset has {table.Value.Rows} rows with a value for '{header.Target}'; this takes {least} or more.", header.Field + ".dataset", "Upload more rows."));

        var (fitted, changed) = header.Method is CustomisationMethod.FineTuning ? FineTuning.Fit(header, model, table.Value, progress, ct) : Fit(header, model, table.Value, ct);
        await ChildFrames.WriteHeaderAsync(output, fitted, ct);
        if (changed is not null) await output.WriteAsync(changed, ct);
    }

    internal static (Fitted Fitted, byte[]? Changed) Fit(Header header, byte[] model, TrainingTable table, CancellationToken ct)
    {
        var rows = RowScorer.AsInputs(table, header);
        var (truth, answers) = (Truth(header, table), Answers(header, model, rows, ct));

        // With an interval alone nothing is fitted, and all rows measure it.
        var isFitted = header.Method is not CustomisationMethod.Interval;
        int[] measured = [.. Enumerable.Range(0, table.Rows).Where(row => !isFitted || row % 2 == 1)];
        int[] fittedOn = [.. Enumerable.Range(0, table.Rows).Where(row => isFitted && row % 2 == 0)];
        (double Slope, double Intercept)? line = header.Method is CustomisationMethod.Affine ? Line(fittedOn, truth, answers) : null;
        var knots = header.Method is CustomisationMethod.Isotonic ? Rising(fittedOn, truth, answers) : null;
        var changed = line is { } found ? GraphChange.Scaled(model, header.Output, found.Slope, found.Intercept) : knots is null ? null : IsotonicFit.Write(model, header.Output, knots);

        double[] held = [.. measured.Select(row => truth[row])];
        float[] before = [.. measured.Select(row => answers[row])], after = changed is null ? before : Answers(header, changed, rows.Take(measured), ct);
        var intervals = Judgement.Calibrate(held, after);
        return (new(fittedOn.Length, line?.Slope, line?.Intercept, Judgement.Metrics(held, before), Judgement.Metrics(held, after, intervals), intervals, knots), changed);
    }

    internal static double[] Truth(Header header, TrainingTable table)
    {
        var target = (NumberColumn)table[header.Target];
        return [.. Enumerable.Range(0, table.Rows).Select(row => target[row])];
    }

    internal static float[] Answers(Header header, byte[] model, TrainingTable rows, CancellationToken ct)
    {
        try
        {
            using var scorer = new RowScorer(model, header);
            var answers = scorer.Score(rows, ct);
            var without = answers.Count(answer => !float.IsFinite(answer));
            return without == 0 ? answers
                : throw new ChildWorkRefusedException(Refusal.Invalid("model-fails-on-rows", $"The base model gives no finite answer for {without:N0} of the dataset's rows.", header.Field + ".dataset", "Leave those rows out."));
        }
        catch (OnnxRuntimeException)
        {
            throw new ChildWorkRefusedException(Refusal.Invalid("model-fails-on-rows", "The base model does not run on the dataset's rows.", header.Field + ".dataset", "Use rows with the values that the model takes."));
        }
    }

    /// <summary>Least squares of the truth over the answer.</summary>
    private static (double Slope, double Intercept) Line(int[] rows, double[] truth, float[] answers)
    {
        var (meanAnswer, meanTruth) = (rows.Average(row => (double)answers[row]), rows.Average(row => truth[row]));
        var spread = rows.Sum(row => (answers[row] - meanAnswer) * (answers[row] - meanAnswer));
        if (!(spread > 0)) throw Constant("no line");
        var slope = rows.Sum(row => (answers[row] - meanAnswer) * (truth[row] - meanTruth)) / spread;
        return (slope, meanTruth - (slope * meanAnswer));
    }

    private static IReadOnlyList<Knot> Rising(int[] rows, double[] truth, float[] answers)
    {
        if (rows.All(row => answers[row] == answers[rows[0]])) throw Constant("nothing that rises with it");
        var knots = IsotonicFit.Fit(rows.Select(row => ((double)answers[row], truth[row])));
        return knots.Count > 1 ? knots
            : throw new ChildWorkRefusedException(Refusal.Invalid("not-rising", "The truth does not rise with the base model's answer, so every answer would become the same.", "calibration.method", "Calibrate the interval alone, or use other rows."));
    }

    private static ChildWorkRefusedException Constant(string nothing) => new(Refusal.Invalid(
        "constant-answers", $"The base model gives the same answer for all rows, so {nothing} can be fitted.", "calibration.method", "Calibrate the interval alone, or use other rows."));

    /// <summary>Why the base cannot be fitted to the dataset; null when it can.</summary>
    internal static Refusal? Judge(PublishedFacts facts, OpenedDataset dataset, string field, string target)
    {
        var datatype = facts.Signature.Outputs.FirstOrDefault(o => o.Name == facts.PredictionOutput)?.Datatype;
        var why = facts.Kind is not ArtifactKind.Onnx ? "it is no ONNX file"
            : facts.Columns.Count == 0 ? "its inputs are not columns of a table"
            : facts.PredictionOutput is null ? "none of its outputs is called 'prediction'"
            : datatype is not ("FP32" or "FP64") ? $"its answer '{facts.PredictionOutput}' is {datatype}, and not a floating-point number"
            : null;
        if (why is not null) return Refusal.Invalid("base-not-calibratable", $"The base model cannot be fitted to rows: {why}.", field, $"Derive without {field}.");

        if (dataset.Columns.FirstOrDefault(c => c.Name == target) is not { Type: DatasetColumnType.Integer or DatasetColumnType.Number })
            return Refusal.Invalid("unknown-column", $"The dataset '{dataset.Dataset}' has no column of numbers '{target}'.", field + ".target", "Name the column that holds what came true.");
        foreach (var column in facts.Columns)
        {
            if (column.Name == target)
                return Refusal.Invalid("target-is-input", $"The model takes the column '{target}', so it cannot be what the model is to answer.", field + ".target", "Name the column that holds what came true.");
            var found = dataset.Columns.FirstOrDefault(c => c.Name == column.Name);
            if (found is null) return Refusal.Invalid("unknown-column", $"The dataset '{dataset.Dataset}' lacks the model's column '{column.Name}'.", field + ".dataset", "Upload rows with all columns of the model.");
            if (found.Type is DatasetColumnType.Text && column.Kind is not ColumnKind.Category)
                return Refusal.Invalid("column-type", $"The dataset's column '{column.Name}' holds texts, and the model takes numbers there.", field + ".dataset", "Upload rows with the types that the model takes.");
            if (found.Missing > 0 && column.Required)
                return Refusal.Invalid("column-missing-values", $"The dataset's column '{column.Name}' is empty in {found.Missing:N0} rows, which the model cannot do without.", field + ".dataset", "Leave those rows out.");
        }

        return null;
    }
}
