using Microsoft.ML.OnnxRuntime;
using Platform.Features.Contracts;
using Platform.Kernel;
using Platform.Registry.Onnx;
using Platform.Registry.Training;

namespace Platform.Registry.Sharing;

/// <summary>Trains what a base model misses on rows of its deriver's, from the columns it takes and its own answer, and puts both into one graph: the base's answer plus the
/// correction. The base's operators and weights stay as they are.</summary>
internal static class FineTuning
{
    private const string Answer = "the base's answer";
    private const string Missed = "what the base misses";

    public static (CustomiseWork.Fitted Fitted, byte[] Joined) Fit(CustomiseWork.Header header, byte[] model, TrainingTable table, IProgress<ChildProgress> progress, CancellationToken ct)
    {
        var rows = RowScorer.AsInputs(table, header);
        var truth = CustomiseWork.Truth(header, table);
        var answers = CustomiseWork.Answers(header, model, rows, ct);
        var time = header.Dataset.FirstOrDefault(c => c.Type is DatasetColumnType.Date) is { } dated ? (NumberColumn)table[dated.Name] : null;
        var (answer, missed) = (Fresh(Answer, header), Fresh(Missed, header));
        var spec = new TrainingSpec(missed);

        var missing = NumberColumn.Of(missed, DatasetColumnType.Number, truth.Zip(answers, (t, a) => t - a));
        var trained = Trainer.Train(With(rows, AnswerColumn(answer, answers), missing), time, spec, progress, ct);
        if (trained.Refusal is { } untrained) throw new ChildWorkRefusedException(Told(untrained, header.Field));
        var (correction, split) = (trained.Value.Model, trained.Value.Split);

        var joined = Join(model, header, correction.Onnx, answer);
        using var graph = Open(joined, header);
        var parity = Compare(header, model, rows, graph, sample => trained.Value.Predict(With(sample.Rows, AnswerColumn(answer, sample.Answers))), truth, spec.Seed, ct);

        // From here on only what is served is measured, on rows that nothing was learnt from.
        var intervals = Judgement.Calibrate(At(truth, split.Calibration), graph.Score(rows.Take(split.Calibration), ct));
        var (held, before) = (At(truth, split.Test), At(answers, split.Test));
        var after = graph.Score(rows.Take(split.Test), ct);
        var (was, becomes) = (Judgement.Metrics(held, before), Judgement.Metrics(held, after, intervals));
        if (!(becomes.Rmse < was.Rmse))
            throw new ChildWorkRefusedException(Refusal.Conflict("correction-no-better",
                $"On the {held.Length:N0} rows held out the base model's RMSE is {was.Rmse:G6}, and with the correction it would be {becomes.Rmse:G6}, which is {(becomes.Rmse / was.Rmse) - 1:P1} worse. No version was made.",
                header.Field + ".dataset", "Tune on more rows, or calibrate: that takes fewer."));

        string[] log =
        [
            $"Fine-tuning: a correction learns what the base model misses of '{header.Target}', which is '{missed}' below, from the model's columns and its answer, '{answer}'. {table.RowsWithoutTarget:N0} rows without a value in '{header.Target}' are left out.",
            .. correction.Log,
            $"Base and correction are one graph with the operator sets {Opsets(joined)}. It gives the base's answer plus ML.NET's correction on {parity.Rows:N0} rows: largest difference {parity.MaxAbsoluteDifference:G3}, relative {parity.MaxRelativeDifference:G3}.",
            $"On the {held.Length:N0} rows held out: RMSE {was.Rmse:G6} of the base, {becomes.Rmse:G6} of the tuned model; the {intervals.Level:P0} interval holds the truth in {becomes.Coverage:P1} of rows.",
        ];
        return (new(split.Train.Length, null, null, was, becomes, intervals, Tuning: new(correction.Algorithm, correction.Split with { WithoutTarget = table.RowsWithoutTarget }, parity, ""), Log: log), joined);
    }

    /// <summary>The base's graph with the correction's behind its output. The operator sets are the base's wherever the correction's operators are in them in the same form, and the
    /// nearest that have them otherwise, so that the base's own operators keep their meaning if they can; whether they did is what <see cref="Compare"/> sees.</summary>
    internal static byte[] Join(byte[] model, CustomiseWork.Header header, byte[] correction, string answer)
    {
        var (change, other) = (new GraphChange(model, header.Output), OnnxModel.Parser.ParseFrom(correction).Graph);
        change.NeedOpset("", 11);
        // The fifth gave up the trees of those before it for another kind, and changed nothing else.
        change.NeedOpset(GraphWriter.Ml, 3, 4);
        var column = change.Constant([-1, 1], [2], GraphWriter.Int64);
        var inputs = other.Input.ToDictionary(input => input.Name, input => input.Name == answer
            ? change.Cast(change.Add("Reshape", [change.Before, column]), change.Element, GraphWriter.Float)
            : change.Cast(input.Name, change.ElementOf(input.Name), input.Type.Tensor.Element));
        var corrected = change.Cast(change.Embed(other, inputs), GraphWriter.Float, change.Element);
        change.Add("Add", [change.Before, change.Add("Reshape", [corrected, change.Add("Shape", [change.Before])])], output: header.Output);
        return change.ToBytes();
    }

    private static RowScorer Open(byte[] joined, CustomiseWork.Header header)
    {
        try
        {
            return new RowScorer(joined, header);
        }
        catch (OnnxRuntimeException)
        {
            throw new ChildWorkRefusedException(Refusal.Invalid("graphs-do-not-join",
                $"The base model and a correction do not fit into one graph with the operator sets {Opsets(joined)}: an operator of the base has changed in them, or the correction's are not in them.",
                header.Field, "Ask the base's owner for an export with operator set 17 of ai.onnx and 3 of ai.onnx.ml, or calibrate."));
        }
    }

    /// <summary>The gate of every training, for the whole: the joined graph beside the base's own file plus ML.NET's correction, on rows as they are and with values taken out.
    /// A base that does not run with values taken out is compared on the rows as they are.</summary>
    private static ParityReport Compare(
        CustomiseWork.Header header, byte[] model, TrainingTable rows, RowScorer graph, Func<(TrainingTable Rows, float[] Answers), float[]> correct, double[] truth, int seed, CancellationToken ct)
    {
        var sample = RowScorer.AsInputs(ParityGate.Sample(rows, seed), header);
        using var scorer = new RowScorer(model, header);
        float[] answers;
        try
        {
            answers = scorer.Score(sample, ct);
        }
        catch (OnnxRuntimeException)
        {
            sample = sample.Take([.. Enumerable.Range(0, sample.Rows / 2)]);
            answers = scorer.Score(sample, ct);
        }

        int[] answered = [.. Enumerable.Range(0, sample.Rows).Where(row => float.IsFinite(answers[row]))];
        (sample, answers) = (sample.Take(answered), At(answers, answered));
        var mean = truth.Average();
        var deviation = Math.Sqrt(truth.Average(t => (t - mean) * (t - mean)));
        var parity = ParityGate.Judge([.. answers.Zip(correct((sample, answers)), (a, c) => a + c)], graph.Score(sample, ct), deviation);
        return parity.Refusal is { } differs ? throw new ChildWorkRefusedException(differs with { Field = header.Field + ".dataset" }) : parity.Value;
    }

    /// <summary>The trainer's refusals in the words of what was asked for here.</summary>
    private static Refusal Told(Refusal refusal, string field) => refusal.Code is "constant-target"
        ? Refusal.Invalid("nothing-to-learn", "What the base model misses is the same in every row of a part of the data, so a correction has nothing to learn.", field + ".dataset", "Calibrate with the method affine, or use more rows.")
        : refusal with { Field = field + ".dataset" };

    private static NumberColumn AnswerColumn(string name, float[] answers) => NumberColumn.Of(name, DatasetColumnType.Number, answers.Select(a => (double)a));

    private static TrainingTable With(TrainingTable rows, params TableColumn[] more) => new([.. rows.Columns, .. more], rows.Rows, 0);

    private static T[] At<T>(T[] values, int[] rows) => [.. rows.Select(row => values[row])];

    private static string Fresh(string name, CustomiseWork.Header header)
    {
        while (header.Columns.Any(column => column.Name == name)) name += "'";
        return name;
    }

    private static string Opsets(byte[] model) => string.Join(", ",
        OnnxModel.Parser.ParseFrom(model).OpsetImport.Select(o => $"{(o.Domain.Length == 0 ? "ai.onnx" : OnnxInspector.Shown(o.Domain))} {o.Version}"));
}
