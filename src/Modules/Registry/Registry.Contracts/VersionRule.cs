using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Platform.Registry.Contracts;

/// <summary>A rule that the owner of a version gave it: data, judged when it is given, and held on every prediction the version makes. A version's rules go in order,
/// each on the number the one before it left.</summary>
/// <param name="Name">What answers and the journal call it; one of its kind in the version.</param>
/// <param name="Then">What happens to the prediction.</param>
/// <param name="When">What must all be so; without any, the rule is for every row.</param>
public sealed record VersionRule(
    string Name,
    RuleAction Then,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<RuleCondition>? When = null);

/// <summary>What a rule does: one of these.</summary>
/// <param name="Floor">The prediction is this at least.</param>
/// <param name="Cap">And this at most.</param>
/// <param name="Multiply">It is multiplied by this.</param>
/// <param name="Add">This is added to it.</param>
/// <param name="Round">It becomes the nearest multiple of this, halves away from zero.</param>
/// <param name="Flag">It stays as it is, and this is said beside it, for a person.</param>
/// <param name="Refuse">There is no prediction, and this is why: the call is refused.</param>
public sealed record RuleAction(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? Floor = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? Cap = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? Multiply = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? Add = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? Round = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Flag = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Refuse = null);

/// <summary>One thing that must be so. Of a value that is missing nothing is so, but that it is missing.</summary>
/// <param name="Column">The model's column it looks at: as the caller sent it, or as a feature view added it.</param>
/// <param name="Prediction">Or true: the prediction as the rules before this one left it.</param>
/// <param name="Is">How it compares with <paramref name="Value"/>: =, !=, &lt;, &lt;=, &gt;, &gt;= (texts and booleans: = and !=); or <c>missing</c>, which takes no value.</param>
/// <param name="Value">A number, a text, true or false, or a date as text (2014-10-13), as the column is.</param>
/// <param name="In">Instead of the two: it is one of these.</param>
public sealed record RuleCondition(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Column = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] bool? Prediction = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Is = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] JsonElement? Value = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<JsonElement>? In = null)
{
    /// <summary>A value as a column of this kind has it in its tensor; null when it is none of that kind. Whoever judges rules and whoever runs them must agree on this.</summary>
    public static double? NumberOf(JsonElement value, ColumnKind kind) => (kind, value.ValueKind) switch
    {
        (ColumnKind.Number, JsonValueKind.Number) => value.TryGetDouble(out var number) && double.IsFinite(number) ? number : null,
        (ColumnKind.Boolean, JsonValueKind.True) => 1,
        (ColumnKind.Boolean, JsonValueKind.False) => 0,
        (ColumnKind.Boolean, JsonValueKind.Number) => value.TryGetDouble(out var number) && number is 0 or 1 ? value.GetDouble() : null,
        (ColumnKind.Date, JsonValueKind.String) => DateOnly.TryParseExact(value.GetString(), "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out var date)
            ? date.DayNumber - new DateOnly(1970, 1, 1).DayNumber : null,
        _ => null,
    };

    /// <summary>The same for a column of texts.</summary>
    public static string? TextOf(JsonElement value) => value.ValueKind is JsonValueKind.String ? value.GetString() : null;
}
