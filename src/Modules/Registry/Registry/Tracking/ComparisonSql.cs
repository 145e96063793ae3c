namespace Platform.Registry.Tracking;

/// <summary>The values of a statement that is put together, and how each is named in it.</summary>
internal sealed class SqlValues(params ReadOnlySpan<object?> first)
{
    private readonly List<object?> values = [.. first];

    public object?[] All => [.. values];

    /// <summary>The value's name, such as $3.</summary>
    public string Add(object? value)
    {
        values.Add(value);
        return $"${values.Count}";
    }
}

/// <summary>A comparison of the search language as SQL.</summary>
internal static class ComparisonSql
{
    public static string Of(Comparison comparison, string column, SqlValues values) => comparison.Comparator switch
    {
        Comparator.IsNull => $"{column} is null",
        Comparator.IsNotNull => $"{column} is not null",
        // Without an escape, as in MLflow's language: a backslash is one.
        Comparator.Like => $"{column} like {values.Add(comparison.Texts[0])} escape ''",
        Comparator.ILike => $"{column} ilike {values.Add(comparison.Texts[0])} escape ''",
        Comparator.In => $"{column} = any ({values.Add(comparison.Texts.ToArray())})",
        Comparator.NotIn => $"{column} <> all ({values.Add(comparison.Texts.ToArray())})",
        var comparator => $"{column} {Symbol(comparator)} {values.Add(Operand(comparison))}",
    };

    /// <summary>Times are whole numbers: as one, the comparison can use their index.</summary>
    private static object Operand(Comparison comparison) => comparison.Number is not { } number ? comparison.Texts[0]
        : comparison.Field is RunField.Attribute && Math.Abs(number) < 1e18 && Math.Truncate(number) == number ? (long)number
        : number;

    private static string Symbol(Comparator comparator) => comparator switch
    {
        Comparator.Equal => "=",
        Comparator.NotEqual => "<>",
        Comparator.Less => "<",
        Comparator.LessOrEqual => "<=",
        Comparator.Greater => ">",
        _ => ">=",
    };
}
