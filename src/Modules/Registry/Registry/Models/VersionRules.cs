using System.Globalization;
using System.Text.Json;
using Platform.Kernel;
using Platform.Registry.Contracts;

namespace Platform.Registry.Models;

/// <summary>Judges the rules that a version is given: what passes here can be run on every row of it. And tells them in words.</summary>
internal static class VersionRules
{
    private const int Most = 50, MostConditions = 20, MostValues = 200, LongestText = 500;

    private static readonly string[] OfNumbers = ["=", "!=", "<", "<=", ">", ">=", "missing"], OfTexts = ["=", "!=", "missing"], OfPrediction = ["=", "!=", "<", "<=", ">", ">="];

    /// <summary>The base's rules come first; null when there are none at all.</summary>
    public static IReadOnlyList<VersionRule>? Joined(IReadOnlyList<VersionRule>? ofBase, IReadOnlyList<VersionRule>? own) =>
        (ofBase?.Count ?? 0) + (own?.Count ?? 0) == 0 ? null : [.. ofBase ?? [], .. own ?? []];

    /// <summary>Why these cannot be the rules of a version with that signature; null when they can.</summary>
    public static Refusal? Judge(
        IReadOnlyList<VersionRule>? rules, IReadOnlyList<VersionRule>? ofBase, ModelSignature signature, IReadOnlyList<ColumnSpec> columns, string? predictionOutput)
    {
        if (rules is not { Count: > 0 }) return null;
        if (rules.Count + (ofBase?.Count ?? 0) > Most)
            return Refusal.Invalid("too-many-rules", $"There are {rules.Count} rules{(ofBase is { Count: > 0 } more ? $", and {more.Count} of the base" : "")}; a version has {Most} at most.", "rules", "Leave some out, or put several into one.");
        var output = signature.Outputs.FirstOrDefault(o => o.Name == predictionOutput);
        if (output is null || output.Datatype is not ("FP16" or "BF16" or "FP32" or "FP64") || output.Shape.Skip(1).Any(size => size != 1) || output.Shape.FirstOrDefault(1) is not (-1 or 1))
            return Refusal.Invalid("no-number-to-rule", "Rules hold on one floating-point number a row, and the base's prediction is something else.", "rules", "Leave 'rules' out, or derive from a model that predicts a number.");
        HashSet<string> names = [.. (ofBase ?? []).Select(rule => rule.Name)];
        for (var i = 0; i < rules.Count; i++)
        {
            var (rule, at) = (rules[i], $"rules[{i}]");
            if (rule is null) return Refusal.Invalid("bad-rule", "A rule is an object with a 'name' and a 'then'.", at, "Send {\"name\": \"no-negative-price\", \"then\": {\"floor\": 0}}.");
            if (!Names.IsSlug(rule.Name))
                return Refusal.Invalid("bad-rule", $"'{rule.Name}' cannot be a name.", $"{at}.name", "Use 1 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or a digit.");
            if (!names.Add(rule.Name))
                return Refusal.Invalid("duplicate-rule", $"There are two rules '{rule.Name}'.", $"{at}.name", ofBase?.Any(other => other.Name == rule.Name) is true ? "The base has one of that name: choose another." : "Give each a name of its own.");
            if (Judge(rule.Then, output.Datatype, $"{at}.then") is { } action) return action;
            var conditions = rule.When ?? [];
            if (conditions.Count > MostConditions) return Refusal.Invalid("too-many-conditions", $"The rule '{rule.Name}' has {conditions.Count} conditions; {MostConditions} are allowed.", $"{at}.when", "Leave some out; 'in' takes many values in one.");
            for (var c = 0; c < conditions.Count; c++)
            {
                if (Judge(conditions[c], columns, $"{at}.when[{c}]") is { } condition) return condition;
            }
        }
        return null;
    }

    private static Refusal? Judge(RuleAction? then, string datatype, string at)
    {
        (string Name, double? Value)[] numbers = then is null ? [] : [("floor", then.Floor), ("cap", then.Cap), ("multiply", then.Multiply), ("add", then.Add), ("round", then.Round)];
        (string Name, string? Value)[] texts = then is null ? [] : [("flag", then.Flag), ("refuse", then.Refuse)];
        if (numbers.Count(n => n.Value is not null) + texts.Count(t => t.Value is not null) != 1)
            return Refusal.Invalid("bad-rule", "A rule does one thing.", at, "Give 'then' one of floor, cap, multiply, add, round, flag and refuse; for more, make more rules.");
        if (numbers.FirstOrDefault(n => n.Value is { } value && !Fits(value, datatype)) is { Value: { } unfit } beyond)
            return Refusal.Invalid("bad-rule", $"{unfit} is more than the prediction, {datatype}, can hold.", $"{at}.{beyond.Name}", "Give a finite number within that.");
        if (then!.Round is <= 0) return Refusal.Invalid("bad-rule", "What is rounded to is above 0.", $"{at}.round", "Give the step, such as 0.01 or 1000.");
        if (texts.FirstOrDefault(t => t.Value is { } text && (string.IsNullOrWhiteSpace(text) || !IsShort(text))) is { Value: { } } wordless)
            return Refusal.Invalid("bad-rule", $"A text is 1 to {LongestText} characters, and none of them NUL.", $"{at}.{wordless.Name}", "Say in a sentence what a person should know.");
        return null;
    }

    private static bool IsShort(string text) => text.Length <= LongestText && !text.Contains('\0');

    private static bool Fits(double value, string datatype) => datatype switch
    {
        "FP16" => Half.IsFinite((Half)value),
        "BF16" or "FP32" => float.IsFinite((float)value),
        _ => double.IsFinite(value),
    };

    private static Refusal? Judge(RuleCondition? condition, IReadOnlyList<ColumnSpec> columns, string at)
    {
        if (condition is null || condition.Column is null == condition.Prediction is not true)
            return Refusal.Invalid("bad-condition", "A condition looks at one thing.", at, "Give it a 'column', or \"prediction\": true.");
        var kind = ColumnKind.Number;
        if (condition.Column is { } name)
        {
            if (columns.FirstOrDefault(column => column.Name == name) is not { } column)
                return Refusal.Invalid("unknown-column", $"The model has no column '{name}'.", $"{at}.column",
                    columns.Count == 0 ? "It takes tensors that are no named columns: its rules can look at the prediction alone." : $"Use one of: {string.Join(", ", columns.Select(c => c.Name).Take(20))}{(columns.Count > 20 ? " …" : "")}.");
            kind = column.Kind;
        }
        if (condition.In is { } values)
        {
            if (condition.Is is not null || condition.Value is not null) return Refusal.Invalid("bad-condition", "With 'in' there is neither 'is' nor 'value'.", at, "Leave them out, or leave 'in' out.");
            if (values.Count is 0 or > MostValues) return Refusal.Invalid("bad-condition", $"'in' has {values.Count} values.", $"{at}.in", $"Give 1 to {MostValues}.");
            for (var v = 0; v < values.Count; v++)
            {
                if (Judge(values[v], kind, $"{at}.in[{v}]") is { } value) return value;
            }
            return null;
        }
        var comparisons = condition.Column is null ? OfPrediction : kind is ColumnKind.Category or ColumnKind.Boolean ? OfTexts : OfNumbers;
        if (!comparisons.Contains(condition.Is))
            return Refusal.Invalid("bad-condition", $"'{condition.Is}' is no comparison for {(condition.Column is null ? "the prediction" : $"a {kind.ToString().ToLowerInvariant()}")}.", $"{at}.is", $"Use one of: {string.Join(", ", comparisons)}; or 'in' with a list.");
        if (condition.Is is "missing")
            return condition.Value is null ? null : Refusal.Invalid("bad-condition", "What is missing has no value.", $"{at}.value", "Leave it out.");
        return condition.Value is { } with ? Judge(with, kind, $"{at}.value") : Refusal.Invalid("bad-condition", "There is nothing to compare with.", $"{at}.value", $"Give {Wanted(kind)}.");
    }

    private static Refusal? Judge(JsonElement value, ColumnKind kind, string at)
    {
        var fits = kind is ColumnKind.Category ? RuleCondition.TextOf(value) is { Length: > 0 } text && IsShort(text) : RuleCondition.NumberOf(value, kind) is not null;
        return fits ? null : Refusal.Invalid("wrong-type", $"{Brief(value)} is not {Wanted(kind)}.", at, $"Give {Wanted(kind)}.");
    }

    private static string Wanted(ColumnKind kind) => kind switch
    {
        ColumnKind.Category => $"a text of 1 to {LongestText} characters",
        ColumnKind.Boolean => "true or false",
        ColumnKind.Date => "a date as text, such as \"2014-10-13\"",
        _ => "a finite number",
    };

    /// <summary>The rule as a page says it: <c>where waterfront = 1: times 1.05</c>.</summary>
    public static string Sentence(VersionRule rule)
    {
        var then = rule.Then switch
        {
            { Floor: { } least } => $"{Number(least)} at least",
            { Cap: { } most } => $"{Number(most)} at most",
            { Multiply: { } factor } => $"times {Number(factor)}",
            { Add: { } term } => term < 0 ? $"minus {Number(-term)}" : $"plus {Number(term)}",
            { Round: { } step } => $"rounded to {Number(step)}",
            { Flag: { } flag } => $"says \"{flag}\"",
            { Refuse: { } why } => $"refuses: \"{why}\"",
            _ => "",
        };
        return rule.When is { Count: > 0 } conditions ? $"where {string.Join(" and ", conditions.Select(Sentence))}: {then}" : $"always: {then}";
    }

    private static string Sentence(RuleCondition condition)
    {
        var what = condition.Column ?? "the prediction";
        return condition.In is { } values ? $"{what} is one of {string.Join(", ", values.Take(12).Select(Brief))}{(values.Count > 12 ? $" and {values.Count - 12} more" : "")}"
            : condition.Is is "missing" ? $"{what} is missing" : $"{what} {condition.Is} {(condition.Value is { } value ? Brief(value) : "")}";
    }

    private static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    private static string Brief(JsonElement value) => value.ValueKind is JsonValueKind.Undefined ? "nothing" : value.GetRawText() is { Length: <= 60 } text ? text : value.GetRawText()[..60] + "…";
}
