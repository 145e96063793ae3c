using System.Globalization;
using System.Text;
using System.Text.Json;
using Platform.Inference.Predict.Runtimes;
using Platform.Registry.Contracts;

namespace Platform.Inference.Predict.Rules;

/// <summary>What a rule does.</summary>
internal enum Act : byte { Floor, Cap, Multiply, Add, Round, Flag, Refuse }

/// <summary>One rule, compiled: columns are indices and values are as the tensors have them.</summary>
internal sealed class PlanRule
{
    private readonly Datatype datatype;
    private readonly double value;

    /// <summary>The bound as the prediction's datatype can hold it without passing it.</summary>
    private readonly double held;

    private PlanRule(string name, Act act, double value, string? text, PlanCondition[] when, Datatype datatype)
    {
        (Name, Act, Text, When, this.value, this.datatype) = (name, act, text, when, value, datatype);
        held = act is Act.Floor or Act.Cap ? Held(value, datatype, act is Act.Cap) : value;
        Encoded = JsonEncodedText.Encode(name);
    }

    public string Name { get; }

    /// <summary>The name as JSON.</summary>
    public JsonEncodedText Encoded { get; }

    public Act Act { get; }

    /// <summary>What a flag or a refusal says.</summary>
    public string? Text { get; }

    public PlanCondition[] When { get; }

    public static PlanRule Of(VersionRule rule, PlanColumns? columns, Datatype prediction)
    {
        var when = (rule.When ?? []).Select(condition => PlanCondition.Of(rule.Name, condition, columns, prediction)).ToArray();
        return rule.Then switch
        {
            { Floor: { } least } => new(rule.Name, Act.Floor, least, null, when, prediction),
            { Cap: { } most } => new(rule.Name, Act.Cap, most, null, when, prediction),
            { Multiply: { } factor } => new(rule.Name, Act.Multiply, factor, null, when, prediction),
            { Add: { } term } => new(rule.Name, Act.Add, term, null, when, prediction),
            { Round: > 0 and { } step } => new(rule.Name, Act.Round, step, null, when, prediction),
            { Flag: { } said } => new(rule.Name, Act.Flag, 0, said, when, prediction),
            { Refuse: { } why } => new(rule.Name, Act.Refuse, 0, why, when, prediction),
            // Made by a newer server: not to serve is better than to leave it out.
            _ => throw new ModelLoadException($"its rule '{rule.Name}' does something that this server does not know"),
        };
    }

    public bool HoldsFor(Tensor[] inputs, int row, double prediction)
    {
        foreach (var condition in When)
        {
            if (!condition.Holds(inputs, row, prediction)) return false;
        }
        return true;
    }

    /// <summary>The prediction after this rule, as its datatype holds it.</summary>
    public double On(double number) => Narrow(Apply(number, held), datatype);

    /// <summary>The interval goes the way of its prediction; what turns the number line round swaps its ends.</summary>
    public (double Lower, double Upper) On((double Lower, double Upper) interval)
    {
        var (one, other) = (Clamp(Apply(interval.Lower, value)), Clamp(Apply(interval.Upper, value)));
        return one <= other ? (one, other) : (other, one);

        static double Clamp(double bound) => Math.Clamp(bound, double.MinValue, double.MaxValue);
    }

    /// <summary>A number as the datatype holds it.</summary>
    public static double Narrow(double number, Datatype datatype) => datatype switch
    {
        Datatype.FP32 => (float)number,
        Datatype.FP16 => (double)(Half)number,
        Datatype.BF16 => BFloat16.Value(BFloat16.Bits((float)number)),
        _ => number,
    };

    /// <summary>A number of the datatype as it is written and read: 0.1 as FP32 is 0.100000001490116, and written 0.1.</summary>
    public static double Read(double number, Datatype datatype) =>
        datatype is Datatype.FP64 ? number : double.Parse(((float)number).ToString("R", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

    private double Apply(double number, double by) => Act switch
    {
        Act.Floor => Math.Max(number, by),
        Act.Cap => Math.Min(number, by),
        // Nought is nought, and not minus nought, which would be read as such.
        Act.Multiply => (number * by) + 0.0,
        Act.Add => number + by,
        Act.Round => Rounded(number, by),
        _ => number,
    };

    /// <summary>Of a step such as 0.01 there are 100 to one, and a division by that gives 0.29 and not 0.29000000000000004.</summary>
    private static double Rounded(double number, double step)
    {
        var each = Math.Round(1 / step);
        var rounded = step < 1 && 1 / each == step
            ? Math.Round(number * each, MidpointRounding.AwayFromZero) / each : Math.Round(number / step, MidpointRounding.AwayFromZero) * step;
        // So large that every number is a multiple.
        return double.IsFinite(rounded) ? rounded + 0.0 : number;
    }

    /// <summary>The nearest number of the datatype, unless that reads as one beyond the bound: then the one before it. 0.1 as FP32 reads as 0.1, and 499999.99 as 500000.</summary>
    private static double Held(double bound, Datatype datatype, bool isCap)
    {
        var near = Narrow(bound, datatype);
        if (datatype is Datatype.FP64 || !double.IsFinite(near)) return near;
        var read = Read(near, datatype);
        if (isCap ? read <= bound : read >= bound) return near;
        return datatype switch
        {
            Datatype.FP32 => isCap ? MathF.BitDecrement((float)near) : MathF.BitIncrement((float)near),
            Datatype.FP16 => (double)(isCap ? Half.BitDecrement((Half)near) : Half.BitIncrement((Half)near)),
            _ => Narrow(near + (Math.Abs(near) / (isCap ? -128 : 128)), datatype),
        };
    }
}

/// <summary>One condition, compiled. Of a missing value nothing is so, but that it is missing.</summary>
internal sealed class PlanCondition
{
    private readonly Comparison comparison;
    private readonly double[] numbers;
    private readonly byte[][]? texts;

    private PlanCondition(int input, Comparison comparison, double[] numbers, byte[][]? texts) => (Input, this.comparison, this.numbers, this.texts) = (input, comparison, numbers, texts);

    private enum Comparison : byte { Is, IsNot, Less, AtMost, More, AtLeast, Missing }

    /// <summary>The index of the input it looks at; below 0 it looks at the prediction.</summary>
    public int Input { get; }

    public static PlanCondition Of(string rule, RuleCondition condition, PlanColumns? columns, Datatype prediction)
    {
        var column = condition.Column is null ? null : Array.Find(columns?.All ?? [], known => known.Name == condition.Column) ?? throw new ModelLoadException($"its rule '{rule}' looks at '{condition.Column}', and there is no such column");
        var comparison = condition.In is not null ? Comparison.Is : condition.Is switch
        {
            "=" => Comparison.Is,
            "!=" => Comparison.IsNot,
            "<" => Comparison.Less,
            "<=" => Comparison.AtMost,
            ">" => Comparison.More,
            ">=" => Comparison.AtLeast,
            "missing" => Comparison.Missing,
            _ => throw new ModelLoadException($"its rule '{rule}' compares in a way that this server does not know"),
        };
        var values = condition.In ?? (condition.Value is { } one ? [one] : []);
        if (column is { Datatype: Datatype.Bytes })
            return new(column.Input, comparison, [], [.. values.Select(value => Encoding.UTF8.GetBytes(RuleCondition.TextOf(value) ?? throw Unreadable(rule)))]);
        // 0.1 of a column in FP32 is to be the 0.1 of a rule.
        var (kind, datatype) = column is null ? (ColumnKind.Number, prediction) : (column.Kind, column.Datatype);
        return new(column?.Input ?? -1, comparison, [.. values.Select(value => PlanRule.Narrow(RuleCondition.NumberOf(value, kind) ?? throw Unreadable(rule), datatype))], null);
    }

    public bool Holds(Tensor[] inputs, int row, double prediction)
    {
        if (texts is not null) return Holds(inputs[Input].Text(row));
        var number = Input < 0 ? prediction : TensorJson.Number(inputs[Input], row);
        if (double.IsNaN(number)) return comparison is Comparison.Missing;
        return comparison switch
        {
            Comparison.Is => numbers.AsSpan().Contains(number),
            Comparison.IsNot => number != numbers[0],
            Comparison.Less => number < numbers[0],
            Comparison.AtMost => number <= numbers[0],
            Comparison.More => number > numbers[0],
            Comparison.AtLeast => number >= numbers[0],
            _ => false,
        };
    }

    private bool Holds(ReadOnlySpan<byte> text)
    {
        if (text.IsEmpty) return comparison is Comparison.Missing;
        if (comparison is Comparison.Missing) return false;
        foreach (var one in texts!)
        {
            if (text.SequenceEqual(one)) return comparison is Comparison.Is;
        }
        return comparison is Comparison.IsNot;
    }

    private static ModelLoadException Unreadable(string rule) => new($"its rule '{rule}' compares a column with something that is not of its kind");
}
