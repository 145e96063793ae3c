using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;
using Platform.Registry.Contracts;

namespace Platform.Inference.Predict.Rules;

/// <summary>The rules of a version, compiled with its plan, and the stage of the prediction path in which they hold: after calibration, before anything is written down.
/// Every dialect reads the numbers they leave, so none goes round them.</summary>
internal sealed class PlanRules
{
    private const int MostErrors = 50;

    private readonly PlanRule[] rules;

    /// <summary>The index of the prediction among the outputs.</summary>
    private readonly int output;

    /// <summary>Inputs that some condition reads, a value a row.</summary>
    private readonly int[] reads;
    private readonly ConformalTable? calibration;

    public PlanRules(IReadOnlyList<VersionRule> rules, PlanColumns? columns, TensorLayout[] outputs, int[] prediction, ConformalTable? calibration)
    {
        if (prediction is not [var index] || !outputs[index].Datatype.IsFloat()) throw new ModelLoadException("it has rules, and no floating-point output that is the prediction");
        (output, this.calibration, Datatype) = (index, calibration, outputs[index].Datatype);
        this.rules = [.. rules.Select(rule => PlanRule.Of(rule, columns, Datatype))];
        reads = [.. this.rules.SelectMany(rule => rule.When).Select(condition => condition.Input).Where(input => input >= 0).Distinct()];
    }

    /// <summary>The prediction's.</summary>
    public Datatype Datatype { get; }

    public PlanRule this[int index] => rules[index];

    /// <summary>Puts the rules to every row of the prediction, in place. Where the prediction is not among what is asked for there is nothing to do.</summary>
    public Refusal? Apply(PredictionWork work)
    {
        if (Array.IndexOf(work.Wanted, output) < 0) return null;
        var (prediction, trace) = (work.Tensors.Outputs[output], work.Ruled!);
        var rows = prediction.Count;
        if (rows > 0 && rows != work.Units)
            return Refusal.Invalid("model-failed", $"The model gave {rows} values for {work.Units} rows, and its version has rules for one number a row.", null, "Send the rows one by one, or have the model's owner look at its output's shape.");
        foreach (var input in reads)
        {
            if (work.Tensors.Inputs[input] is { } read && read.Count != rows)
                return Refusal.Invalid("wrong-shape", $"The input '{read.Layout.Name}' has {read.Count} values for {rows} rows, and a rule of the version looks at its value in each row.", read.Layout.Name, $"Send the shape [{rows},1].");
        }
        // Half-widths were measured around what the model says, so the interval is made before the rules and goes with them. Only named columns are answered with one.
        trace.Begin(rows, work.Rows > 0 && work.WantsInterval && calibration is not null);
        List<FieldError>? refused = null;
        for (var row = 0; row < rows; row++)
        {
            var before = TensorJson.Number(prediction, row);
            if (!double.IsFinite(before)) return work.NoNumber(row);
            var after = before;
            var bounds = trace.HasBounds ? Intervals.Around(calibration!, before) : default;
            for (var i = 0; i < rules.Length; i++)
            {
                var rule = rules[i];
                if (!rule.HoldsFor(work.Tensors.Inputs, row, after)) continue;
                if (rule.Act is Act.Refuse)
                {
                    refused ??= [];
                    if (refused.Count < MostErrors) refused.Add(new(work.Field(row), $"The rule '{rule.Name}' refuses row {work.Numbered(row)}: {rule.Text}"));
                    break;
                }
                var next = rule.On(after);
                if (!double.IsFinite(next))
                {
                    return Refusal.Invalid("no-finite-prediction", $"The rule '{rule.Name}' leaves no number that {Datatype.Name()} can hold for row {work.Numbered(row)}.", work.Field(row),
                        "Check that the values are within what the model was trained on, and the rule with the version's owner.");
                }
                if (trace.HasBounds) bounds = rule.On(bounds);
                if (next == after && rule.Act is not Act.Flag) continue;
                trace.Fired(row, before, i, next);
                after = next;
            }
            if (after != before) Cells.TryNumber(prediction, row, after);
            if (trace.HasBounds) trace.Bound(row, Around(bounds, after));
        }
        return refused is null ? null : Refuse(refused, single: rows == 1);
    }

    /// <summary>The prediction is rounded to its datatype after each rule, its bounds are not, and where a rule has made them one number it could come to lie a hair outside.</summary>
    private (double Lower, double Upper) Around((double Lower, double Upper) bounds, double prediction)
    {
        if (prediction >= bounds.Lower && prediction <= bounds.Upper) return bounds;
        var read = PlanRule.Read(prediction, Datatype);
        return (Math.Min(bounds.Lower, read), Math.Max(bounds.Upper, read));
    }

    /// <summary>As with every fault of a row, the whole call is refused, and all rows at fault are named.</summary>
    private static Refusal Refuse(List<FieldError> rows, bool single) =>
        new(RefusalKind.Declined, "refused-by-rule", rows[0].Detail, rows[0].Field, single ? "Ask the version's owner about the rule; without an answer nothing is billed." : "Send the other rows without those that are refused.")
        { Errors = single ? [] : rows };
}
