using Microsoft.ML;
using Platform.Features.Contracts;
using Platform.Kernel;
using Platform.Registry.Onnx;

namespace Platform.Registry.Training;

/// <summary>Learns a numeric column from the others and answers with one ONNX graph that takes raw columns, its metrics on rows it never saw,
/// its interval table and a log for a person. A pure function: the same rows, spec and seed give the same bytes.</summary>
internal static class Trainer
{
    public const int LeastRows = 50;

    /// <summary>Above this a positive target counts as skewed, and its logarithm is tried too.</summary>
    private const double Skewed = 1;

    public static async Task<Result<TrainedModel>> TrainAsync(
        Stream csv, IReadOnlyList<TrainingColumn> columns, TrainingSpec spec, IProgress<ChildProgress> progress, CancellationToken ct)
    {
        if (Judge(columns, spec) is { } wrong) return wrong;

        progress.Report(new ChildProgress(0.01, "Reading the dataset"));
        var read = await TrainingTable.ReadAsync(csv, columns, spec.Target, ct);
        if (read.Refusal is { } unreadable) return unreadable;

        var time = columns.FirstOrDefault(c => spec.TimeColumn is null ? c.Type is DatasetColumnType.Date : c.Name == spec.TimeColumn) is { } named
            ? (NumberColumn)read.Value[named.Name] : null;
        var trained = Train(read.Value, time, spec, progress, ct);
        return trained.Refusal is { } refusal ? refusal : trained.Value.Model;
    }

    /// <param name="Split">Which rows it learnt from, and which it did not.</param>
    /// <param name="Predict">ML.NET's own answers for all rows of a table with the same columns.</param>
    internal sealed record Trained(TrainedModel Model, DataSplit Split, Func<TrainingTable, float[]> Predict);

    /// <param name="time">Orders the rows; it need not be one of the table's columns.</param>
    internal static Result<Trained> Train(TrainingTable table, NumberColumn? time, TrainingSpec spec, IProgress<ChildProgress> progress, CancellationToken ct)
    {
        var log = new List<string> { $"{table.Rows:N0} rows have a value in '{spec.Target}'; {table.RowsWithoutTarget:N0} without one are left out." };
        if (TooFew(table, spec) is { } tooFew) return tooFew;

        var split = DataSplit.Of(table, spec, time);
        var description = split.Describe(time, table.RowsWithoutTarget);
        log.Add(Explain(description));

        var target = (NumberColumn)table[spec.Target];
        double[] Truth(int[] rows) => [.. rows.Select(r => target[r])];
        if (Constant(Truth(split.Fit)) || Constant(Truth(split.Test)))
            return Refusal.Invalid("constant-target", $"The target '{spec.Target}' has the same value in every row of a part of the data.", spec.Target,
                "Choose a target that varies, or another time column.");

        progress.Report(new ChildProgress(0.08, "Looking at the columns"));
        var plan = FeaturePlan.Choose(table, split.Train, spec.Target, log);
        if (plan.Specs.Count == 0)
            return Refusal.Invalid("no-usable-columns", "No column is left to learn from: " + string.Join(' ', log.Skip(2)), "dataset",
                "Add columns that describe the rows and vary between them.");

        var ml = new MLContext(spec.Seed);
        var preprocessing = new Preprocessing(ml, new TableView(table, split.Train, plan), plan);
        log.Add($"{plan.Specs.Count} columns are used; they become {preprocessing.Length:N0} features.");

        var (chosen, linearCandidate) = Choose();
        progress.Report(new ChildProgress(0.65, $"Training {chosen.Name}"));
        var (model, scale) = Fit(chosen, split.Train);
        log.Add($"Chosen: {chosen.Name}; trained again on all {split.Train.Length:N0} training rows.");

        progress.Report(new ChildProgress(0.8, "Writing the ONNX graph and comparing it with the trained model"));
        var onnx = GraphExport.Write(plan, preprocessing.Fills(table, plan), model, scale, spec.Target);
        using var graph = new GraphScorer(onnx);
        var sample = ParityGate.Sample(table, spec.Seed);
        var parity = ParityGate.Judge(PredictAll(sample), graph.Score(sample, [.. Enumerable.Range(0, sample.Rows)], plan, ct), Deviation(Truth(split.Train)));
        if (parity.Refusal is { } differs) return differs;
        log.Add($"The ONNX graph gives ML.NET's answers on {parity.Value.Rows:N0} rows, half of them with missing and unseen values: "
            + $"largest difference {parity.Value.MaxAbsoluteDifference:G3}, relative {parity.Value.MaxRelativeDifference:G3}.");

        progress.Report(new ChildProgress(0.9, "Calibrating and testing"));
        var calibration = Judgement.Calibrate(Truth(split.Calibration), graph.Score(table, split.Calibration, plan, ct));
        var predicted = graph.Score(table, split.Test, plan, ct);
        var metrics = Judgement.Metrics(Truth(split.Test), predicted, calibration);
        var (linear, linearScale) = Fit(linearCandidate, split.Train);
        var baseline = Judgement.Metrics(Truth(split.Test), Predict(linear, linearScale, table, split.Test));
        log.Add($"Test: R² {metrics.R2:F4}, RMSE {metrics.Rmse:G6}, MAE {metrics.Mae:G6}; the {calibration.Level:P0} interval holds the truth in {metrics.Coverage:P1} of rows "
            + $"and is {metrics.MeanIntervalWidth:G6} wide on average. Linear baseline: R² {baseline.R2:F4}, RMSE {baseline.Rmse:G6}.");

        // Read back as an upload would be, so that what the version says of itself is what the file says.
        var inspected = OnnxInspector.Inspect(onnx);
        if (inspected.Refusal is { } unsound) return unsound;
        progress.Report(new ChildProgress(1, "Done"));
        var evaluation = Judgement.Evaluation(split.Test, Truth(split.Test), predicted);
        return new Trained(
            new(onnx, inspected.Value.Signature, inspected.Value.Facts, plan.Specs, chosen.Name, metrics, baseline, calibration, description, parity.Value, log, evaluation), split, PredictAll);

        float[] PredictAll(TrainingTable from) => Predict(model, scale, from, [.. Enumerable.Range(0, from.Rows)]);

        (Candidate Best, Candidate BestLinear) Choose()
        {
            var fitTruth = Truth(split.Fit);
            var validation = Truth(split.Validation);
            var candidates = Candidate.For(log: false, split.Fit.Length).ToList();
            if (fitTruth.Min() > 0 && validation.Min() > 0 && Skewness(fitTruth) > Skewed) candidates.AddRange(Candidate.For(log: true, split.Fit.Length));

            var judged = new List<(Candidate Candidate, double Rmse)>();
            foreach (var candidate in candidates)
            {
                ct.ThrowIfCancellationRequested();
                progress.Report(new ChildProgress(0.1 + (0.55 * judged.Count / candidates.Count), $"Trying {candidate.Name}"));
                var (tried, triedScale) = Fit(candidate, split.Fit);
                var rmse = Judgement.Rmse(validation, Predict(tried, triedScale, table, split.Validation));
                log.Add($"Tried {candidate.Name}: RMSE {rmse:G6} on {validation.Length:N0} validation rows.");
                judged.Add((candidate, double.IsFinite(rmse) ? rmse : double.MaxValue));
            }

            return (judged.MinBy(j => j.Rmse).Candidate, judged.Where(j => j.Candidate is LinearCandidate).MinBy(j => j.Rmse).Candidate);
        }

        (FittedCandidate Model, TargetScale Scale) Fit(Candidate candidate, int[] rows)
        {
            ct.ThrowIfCancellationRequested();
            var scaled = TargetScale.Of(Truth(rows), candidate.Log);
            return (candidate.Fit(ml, preprocessing.Transform(new TableView(table, rows, plan, r => scaled.Forward(target[r]))), spec.Seed), scaled);
        }

        float[] Predict(FittedCandidate fitted, TargetScale scaled, TrainingTable from, int[] rows) =>
            [.. fitted.Scores(preprocessing.Transform(new TableView(from, rows, plan))).Select(scaled.Back)];
    }

    /// <summary>What can be refused before a row is read, so that a person hears it at once and not from a job.</summary>
    public static Refusal? Judge(IReadOnlyList<TrainingColumn> columns, TrainingSpec spec)
    {
        if (columns.FirstOrDefault(c => c.Name == spec.Target) is not { } target)
            return Refusal.Invalid("unknown-column", $"The dataset has no column '{spec.Target}'.", "target", "Choose one of: " + Names(columns) + ".");
        if (target.Type is not (DatasetColumnType.Integer or DatasetColumnType.Number))
            return Refusal.Invalid("target-not-numeric", $"The target '{target.Name}' is {target.Type}; only numbers can be predicted.", "target",
                columns.Any(IsNumeric) ? "Choose one of: " + Names(columns.Where(IsNumeric)) + "." : "Upload a dataset with a numeric column.");
        if (spec.TimeColumn is { } time && columns.FirstOrDefault(c => c.Name == time) is not { Type: DatasetColumnType.Date })
            return Refusal.Invalid("not-a-date-column", $"'{time}' is not a date column of the dataset.", "timeColumn",
                columns.Any(IsDate) ? "Choose one of: " + Names(columns.Where(IsDate)) + ", or leave it out." : "Leave it out: the dataset has no date column.");
        if (!(spec.TestFraction is >= 0.05 and <= 0.5))
            return Refusal.Invalid("bad-fraction", $"The test fraction is {spec.TestFraction}; it can be 0.05 to 0.5.", "testFraction", "Use 0.2.");
        if (!(spec.CalibrationFraction is >= 0.05 and <= 0.5))
            return Refusal.Invalid("bad-fraction", $"The calibration fraction is {spec.CalibrationFraction}; it can be 0.05 to 0.5.", "calibrationFraction", "Use 0.2.");
        return null;

        static bool IsNumeric(TrainingColumn c) => c.Type is DatasetColumnType.Integer or DatasetColumnType.Number;
        static bool IsDate(TrainingColumn c) => c.Type is DatasetColumnType.Date;
        static string Names(IEnumerable<TrainingColumn> some) => string.Join(", ", some.Take(30).Select(c => c.Name));
    }

    private static Refusal? TooFew(TrainingTable table, TrainingSpec spec)
    {
        if (table.Rows == 0)
            return Refusal.Invalid("empty-dataset", table.RowsWithoutTarget == 0 ? "The dataset has no rows." : $"No row has a value in '{spec.Target}'.", "dataset",
                $"Upload at least {LeastRows} rows with a value in the target.");
        return table.Rows < LeastRows
            ? Refusal.Invalid("too-few-rows", $"Only {table.Rows} rows have a value in '{spec.Target}'; training needs {LeastRows}.", "dataset", "Upload more rows.")
            : null;
    }

    private static string Explain(SplitDescription split)
    {
        static string Part(PartDescription part) => part.From is null ? $"{part.Rows:N0}" : $"{part.Rows:N0} ({part.From} to {part.To})";
        var how = split.TimeColumn is null ? "at random" : $"by time ('{split.TimeColumn}', oldest first)";
        return $"Split {how}: {Part(split.Train)} rows to train, {Part(split.Calibration)} to calibrate the interval, {Part(split.Test)} to test.";
    }

    private static bool Constant(double[] values) => values.All(v => v == values[0]);

    private static double Deviation(double[] values)
    {
        var mean = values.Average();
        return Math.Sqrt(values.Average(v => (v - mean) * (v - mean)));
    }

    private static double Skewness(double[] values)
    {
        var (mean, deviation) = (values.Average(), Deviation(values));
        return values.Average(v => Math.Pow((v - mean) / deviation, 3));
    }
}
