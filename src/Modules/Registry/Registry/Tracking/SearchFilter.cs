using System.Globalization;
using System.Text;
using Platform.Kernel;

namespace Platform.Registry.Tracking;

internal enum RunField
{
    Metric,
    Param,
    Tag,
    Attribute,
    Dataset,
}

internal enum Comparator
{
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
    ILike,
    In,
    NotIn,
    IsNull,
    IsNotNull,
}

/// <summary>One comparison of a filter.</summary>
/// <param name="Key">The metric's, parameter's or tag's key, or the attribute's name in its one spelling.</param>
/// <param name="Number">What a number is compared with; null for a text.</param>
/// <param name="Texts">What a text is compared with: one, or the list of IN.</param>
internal sealed record Comparison(RunField Field, string Key, Comparator Comparator, double? Number, IReadOnlyList<string> Texts);

/// <summary>One key of an order; missing values and NaN come last either way.</summary>
internal sealed record OrderKey(RunField Field, string Key, bool Descending);

/// <summary>MLflow's search language: comparisons joined by AND, without OR and parentheses. Identifiers are <c>metrics.</c>, <c>params.</c>, <c>tags.</c>,
/// <c>attributes.</c> (or none), <c>datasets.</c>, in singular or plural; keys may be quoted with " or `; texts with ' or ".</summary>
/// <remarks>Grammar as in mlflow/utils/search_utils.py:
/// filter := [ comparison { AND comparison } ]; comparison := identifier operator value | identifier [NOT] IN ( text {, text} ) | identifier IS [NOT] NULL.</remarks>
internal static class SearchFilter
{
    private static readonly HashSet<string> NumericAttributes = ["start_time", "end_time"];
    private static readonly HashSet<string> TextAttributes = ["run_id", "run_name", "status", "user_id", "artifact_uri"];
    private static readonly HashSet<string> DatasetAttributes = ["name", "digest", "context"];

    private static readonly Dictionary<string, RunField> Fields = new(StringComparer.Ordinal)
    {
        ["metric"] = RunField.Metric,
        ["metrics"] = RunField.Metric,
        ["param"] = RunField.Param,
        ["params"] = RunField.Param,
        ["parameter"] = RunField.Param,
        ["parameters"] = RunField.Param,
        ["tag"] = RunField.Tag,
        ["tags"] = RunField.Tag,
        ["attribute"] = RunField.Attribute,
        ["attributes"] = RunField.Attribute,
        ["attr"] = RunField.Attribute,
        ["run"] = RunField.Attribute,
        ["dataset"] = RunField.Dataset,
        ["datasets"] = RunField.Dataset,
    };

    /// <summary>The comparisons of a filter on runs.</summary>
    public static Result<IReadOnlyList<Comparison>> Parse(string? filter) => ParseWith(filter, RunIdentifier, CheckRun);

    /// <summary>The comparisons of a filter on something with plain attributes and tags: experiments, models, versions.</summary>
    /// <param name="logged">Whether it has metrics and parameters, too, and lists for whatever is a text.</param>
    public static Result<IReadOnlyList<Comparison>> ParsePlain(string? filter, IReadOnlyCollection<string> texts, IReadOnlyCollection<string> numbers, bool logged = false) => ParseWith(filter,
        identifier => PlainIdentifier(identifier, texts, numbers, logged),
        comparison => comparison switch
        {
            // A version's number stands in quotes where clients have it as a text.
            { Field: RunField.Attribute, Key: "version_number", Comparator: <= Comparator.GreaterOrEqual, Texts: [var text] } when long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) =>
                comparison with { Number = number, Texts = [] },
            { Field: RunField.Attribute, Number: null } when numbers.Contains(comparison.Key) => Bad($"Expected a number for attribute '{comparison.Key}'."),
            { Field: RunField.Attribute, Number: not null } when texts.Contains(comparison.Key) => Bad($"Expected a quoted string value for attribute '{comparison.Key}'."),
            { Field: RunField.Metric, Number: null } => Bad($"Expected a number for metric '{comparison.Key}'."),
            { Field: RunField.Tag or RunField.Param, Number: not null } => Bad($"Expected a quoted string value for tag '{comparison.Key}'."),
            { Number: null } when IsOrder(comparison.Comparator) => NoOrder(comparison.Key),
            _ => comparison,
        }, lists: logged);

    /// <summary>One order_by clause on runs, such as <c>metrics.rmse DESC</c>.</summary>
    public static Result<OrderKey> ParseOrder(string clause) => ParseOrderWith(clause, RunIdentifier);

    /// <summary>One order_by clause on something with plain attributes.</summary>
    public static Result<OrderKey> ParsePlainOrder(string clause, IReadOnlyCollection<string> attributes, bool logged = false) => ParseOrderWith(clause, identifier =>
        PlainIdentifier(identifier, attributes, [], logged) is var named && named.ValueOrDefault.Item1 is RunField.Tag or RunField.Param
            ? Bad($"Invalid order by key '{identifier}' specified. Valid keys are {string.Join(", ", attributes)}{(logged ? ", and metrics" : "")}.") : named);

    /// <summary>The key as a filter or an order names it, whatever characters it is of.</summary>
    public static string Quoted(string key) => $"`{key.Replace("`", "``", StringComparison.Ordinal)}`";

    /// <summary>Whether the text is like the pattern, in which % is any text and _ any character.</summary>
    public static bool IsLike(string text, string pattern, bool ignoreCase)
    {
        if (ignoreCase) (text, pattern) = (text.ToUpperInvariant(), pattern.ToUpperInvariant());
        // Greedy matching with one place to go back to: no pattern can make it slow.
        var (t, p, star, mark) = (0, 0, -1, 0);
        while (t < text.Length)
        {
            if (p < pattern.Length && pattern[p] == '%') (star, mark, p) = (p, t, p + 1);
            else if (p < pattern.Length && (pattern[p] == '_' || pattern[p] == text[t])) (t, p) = (t + 1, p + 1);
            else if (star >= 0) (p, mark, t) = (star + 1, mark + 1, mark + 1);
            else return false;
        }

        while (p < pattern.Length && pattern[p] == '%') p++;
        return p == pattern.Length;
    }

    private static Result<IReadOnlyList<Comparison>> ParseWith(string? filter, Func<Identifier, Result<(RunField, string)>> resolve, Func<Comparison, Result<Comparison>> check, bool lists = false)
    {
        List<Comparison> comparisons = [];
        if (string.IsNullOrWhiteSpace(filter)) return comparisons;
        var scanner = new Scanner(filter);
        while (true)
        {
            var start = scanner.At;
            var parsed = ParseComparison(scanner, resolve, lists);
            if (parsed.Refusal is { } refusal) return Placed(refusal, scanner.At);
            var meant = check(parsed.Value);
            if (meant.Refusal is { } wrong) return Placed(wrong, start);
            comparisons.Add(meant.Value);
            if (scanner.AtEnd) return comparisons;
            if (!scanner.Keyword("AND")) return Placed(Bad($"Invalid clause(s) in filter string: '{scanner.Rest}'. Comparisons are joined by AND; OR and parentheses are not supported."), scanner.At);
        }
    }

    /// <param name="lists">Whether parameters and tags may be compared with a list, too.</param>
    private static Result<Comparison> ParseComparison(Scanner scanner, Func<Identifier, Result<(RunField, string)>> resolve, bool lists)
    {
        var start = scanner.At;
        if (scanner.Identifier() is not { } identifier) return Bad($"Invalid comparison clause. Expected an identifier such as metrics.rmse, found '{scanner.Rest}'.");
        var resolved = resolve(identifier);
        if (resolved.Refusal is { } unknown)
        {
            // It is the name that is wrong, not what comes after it.
            scanner.BackTo(start);
            return unknown;
        }

        var (field, key) = resolved.Value;

        if (scanner.Keyword("IS")) return Null(scanner, field, key);
        var not = scanner.Keyword("NOT");
        if (scanner.Keyword("IN")) return List(scanner, field, key, not ? Comparator.NotIn : Comparator.In, lists);
        if (not) return Bad($"Invalid comparison clause. Expected IN after NOT, found '{scanner.Rest}'.");
        if (scanner.Comparator() is not { } comparator) return Bad($"Invalid comparison clause. Expected a comparison after '{key}', found '{scanner.Rest}'.");
        if (scanner.Number() is { } number)
        {
            return comparator is Comparator.Like or Comparator.ILike ? Bad($"Expected a quoted string value after {comparator}.") : new Comparison(field, key, comparator, number, []);
        }

        return scanner.Text() is { } text ? new Comparison(field, key, comparator, null, [text])
            : Bad($"Parameter value is either not quoted or unidentified quote types used for string value '{scanner.Rest}'. Use either single or double quotes.");
    }

    private static Result<Comparison> Null(Scanner scanner, RunField field, string key)
    {
        var not = scanner.Keyword("NOT");
        if (!scanner.Keyword("NULL")) return Bad($"Invalid comparison clause. Expected NULL, found '{scanner.Rest}'.");
        return field is RunField.Param or RunField.Tag ? new Comparison(field, key, not ? Comparator.IsNotNull : Comparator.IsNull, null, [])
            : Bad("Only parameters and tags can be compared with NULL.");
    }

    private static Result<Comparison> List(Scanner scanner, RunField field, string key, Comparator comparator, bool lists)
    {
        if (field is not (RunField.Attribute or RunField.Dataset) && !(lists && field is not RunField.Metric)) return Bad("Only attributes and datasets support comparison with a list of quoted string values.");
        List<string> texts = [];
        if (!scanner.Symbol('(')) return Bad($"Expected a list such as ('a', 'b'), found '{scanner.Rest}'.");
        do
        {
            // Python writes a list of one with a comma behind it.
            if (texts.Count > 0 && scanner.Symbol(')')) return new Comparison(field, key, comparator, null, texts);
            if (scanner.Text() is not { } text) return Bad($"While parsing a list in the query, expected a non-empty list of quoted string values, found '{scanner.Rest}'.");
            texts.Add(text);
        }
        while (scanner.Symbol(','));
        return scanner.Symbol(')') ? new Comparison(field, key, comparator, null, texts) : Bad($"Expected ')' after the list, found '{scanner.Rest}'.");
    }

    private static Result<OrderKey> ParseOrderWith(string clause, Func<Identifier, Result<(RunField, string)>> resolve)
    {
        var scanner = new Scanner(clause);
        if (scanner.Identifier() is not { } identifier) return Bad($"Invalid order_by clause '{clause}'. Could not be parsed.");
        var resolved = resolve(identifier);
        if (resolved.Refusal is { } unknown) return unknown;
        var descending = scanner.Keyword("DESC");
        if (!descending) scanner.Keyword("ASC");
        if (!scanner.AtEnd) return Bad($"Invalid ordering key in order_by clause '{clause}'.");
        return resolved.Value.Item1 is RunField.Dataset ? Bad($"Invalid order_by entity type in '{clause}'.") : new OrderKey(resolved.Value.Item1, resolved.Value.Item2, descending);
    }

    private static Result<(RunField, string)> RunIdentifier(Identifier identifier)
    {
        var field = RunField.Attribute;
        if (identifier.Type is { } type && !Fields.TryGetValue(type, out field)) return Bad($"Invalid entity type '{type}'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset'].");
        var key = field is not RunField.Attribute ? identifier.Key : identifier.Key switch
        {
            "created" or "Created" => "start_time",
            "run name" or "Run name" or "Run Name" => "run_name",
            var other => other,
        };
        return field switch
        {
            RunField.Attribute when !NumericAttributes.Contains(key) && !TextAttributes.Contains(key) =>
                Bad($"Invalid attribute key '{key}' specified. Valid keys are {string.Join(", ", TextAttributes.Concat(NumericAttributes).Order())}."),
            RunField.Dataset when !DatasetAttributes.Contains(key) => Bad($"Invalid dataset key '{key}' specified. Valid keys are {string.Join(", ", DatasetAttributes)}."),
            _ => (field, key),
        };
    }

    private static Result<(RunField, string)> PlainIdentifier(Identifier identifier, IReadOnlyCollection<string> texts, IReadOnlyCollection<string> numbers, bool logged)
    {
        if (logged && identifier.Type is { } type && Fields.TryGetValue(type, out var field) && field is RunField.Metric or RunField.Param) return (field, identifier.Key);
        if (identifier.Type is "tag" or "tags") return (RunField.Tag, identifier.Key);
        if (identifier.Type is null or "attribute" or "attributes" or "attr" && (texts.Contains(identifier.Key) || numbers.Contains(identifier.Key))) return (RunField.Attribute, identifier.Key);
        return Bad($"Invalid attribute key '{identifier}' specified. Valid keys are {string.Join(", ", texts.Concat(numbers))}, and tags.");
    }

    private static Result<Comparison> CheckRun(Comparison comparison)
    {
        var isNumeric = comparison.Field is RunField.Metric || (comparison.Field is RunField.Attribute && NumericAttributes.Contains(comparison.Key));
        if (comparison.Comparator is Comparator.IsNull or Comparator.IsNotNull) return comparison;
        if (isNumeric)
        {
            if (comparison.Number is null) return Bad($"Expected numeric value type for '{comparison.Key}'. Found '{comparison.Texts[0]}'.");
            return comparison.Comparator <= Comparator.GreaterOrEqual ? comparison : Bad($"Invalid comparator '{comparison.Comparator}': a number is compared with >, >=, =, !=, <, <=.");
        }

        if (comparison.Number is { } number)
        {
            return Bad($"Expected a quoted string value for '{comparison.Key}' (e.g. 'my-value'). Got value {number.ToString(CultureInfo.InvariantCulture)}.");
        }

        return IsOrder(comparison.Comparator) ? NoOrder(comparison.Key) : comparison;
    }

    private static bool IsOrder(Comparator comparator) => comparator is Comparator.Less or Comparator.LessOrEqual or Comparator.Greater or Comparator.GreaterOrEqual;

    private static Refusal NoOrder(string key) => Bad($"Invalid comparator for '{key}': a text is compared with =, !=, LIKE, ILIKE.");

    private static Refusal Bad(string detail) => Refusal.Invalid("INVALID_PARAMETER_VALUE", detail, "filter");

    /// <summary>The refusal with its place in the filter, counted from 1 as a person counts.</summary>
    private static Refusal Placed(Refusal refusal, int at) => refusal with { Detail = $"{refusal.Detail} (At character {at + 1}.)" };

    /// <param name="Type">What stands before the first dot; null where there is none.</param>
    private readonly record struct Identifier(string? Type, string Key)
    {
        public override string ToString() => Type is null ? Key : $"{Type}.{Key}";
    }

    private sealed class Scanner(string text)
    {
        private const string NotInNames = "<>=!'\"`(), \t\r\n";
        private int at;

        public bool AtEnd => Skip() == text.Length;

        /// <summary>Where the next token begins.</summary>
        public int At => Skip();

        public void BackTo(int start) => at = start;

        /// <summary>What is left, short enough for a message.</summary>
        public string Rest => text[Skip()..] is { Length: > 60 } rest ? rest[..60] + "…" : text[at..];

        public bool Keyword(string word)
        {
            var start = Skip();
            if (string.Compare(text, start, word, 0, word.Length, StringComparison.OrdinalIgnoreCase) != 0) return false;
            var end = start + word.Length;
            if (end < text.Length && !NotInNames.Contains(text[end])) return false;
            at = end;
            return true;
        }

        public bool Symbol(char symbol)
        {
            if (Skip() == text.Length || text[at] != symbol) return false;
            at++;
            return true;
        }

        public Identifier? Identifier()
        {
            Skip();
            if (Name(stopAtDot: true) is not { Length: > 0 } first) return null;
            if (at >= text.Length || text[at] != '.') return new(null, first);
            at++;
            return Name(stopAtDot: false) is { Length: > 0 } key ? new(first, key) : null;
        }

        public Comparator? Comparator()
        {
            if (Keyword("LIKE")) return Tracking.Comparator.Like;
            if (Keyword("ILIKE")) return Tracking.Comparator.ILike;
            Skip();
            foreach (var (symbol, comparator) in Symbols)
            {
                if (string.CompareOrdinal(text, at, symbol, 0, symbol.Length) != 0) continue;
                at += symbol.Length;
                return comparator;
            }

            return null;
        }

        public double? Number()
        {
            var start = Skip();
            var end = start;
            while (end < text.Length && (char.IsAsciiLetterOrDigit(text[end]) || text[end] is '+' or '-' or '.')) end++;
            if (end == start || !(char.IsAsciiDigit(text[start]) || text[start] is '+' or '-' or '.')) return null;
            if (!double.TryParse(text.AsSpan(start, end - start), NumberStyles.Float, CultureInfo.InvariantCulture, out var number)) return null;
            at = end;
            return number;
        }

        public string? Text() => Skip() < text.Length && text[at] is '\'' or '"' ? Quoted() : null;

        private static readonly (string, Comparator)[] Symbols =
        [
            ("!=", Tracking.Comparator.NotEqual), ("<=", Tracking.Comparator.LessOrEqual), (">=", Tracking.Comparator.GreaterOrEqual),
            ("<", Tracking.Comparator.Less), (">", Tracking.Comparator.Greater), ("=", Tracking.Comparator.Equal),
        ];

        private string? Name(bool stopAtDot)
        {
            if (at < text.Length && text[at] is '"' or '`') return Quoted();
            var start = at;
            while (at < text.Length && !NotInNames.Contains(text[at]) && !(stopAtDot && text[at] == '.')) at++;
            return text[start..at];
        }

        /// <summary>A quoted text; the quote itself is written twice in it. Null, and nothing read, where it does not end.</summary>
        private string? Quoted()
        {
            var quote = text[at];
            var read = new StringBuilder();
            for (var i = at + 1; i < text.Length; i++)
            {
                if (text[i] != quote) read.Append(text[i]);
                else if (i + 1 < text.Length && text[i + 1] == quote) read.Append(text[++i]);
                else
                {
                    at = i + 1;
                    return read.ToString();
                }
            }

            return null;
        }

        private int Skip()
        {
            while (at < text.Length && char.IsWhiteSpace(text[at])) at++;
            return at;
        }
    }
}
