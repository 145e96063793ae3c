using System.Text.RegularExpressions;
using Platform.Features.Contracts;
using Platform.Registry.Contracts;

namespace Platform.Registry.Training;

/// <summary>A number, date or boolean column the model uses.</summary>
/// <param name="HasMissing">Training rows miss it somewhere, so the model gets a flag that says so.</param>
internal sealed record NumberFeature(string Name, DatasetColumnType Type, bool HasMissing);

/// <summary>A text column the model uses as one-hot.</summary>
/// <param name="Values">Most frequent first; the empty text among them when training rows miss it. Any other text is none of them.</param>
internal sealed record CategoryFeature(string Name, IReadOnlyList<string> Values);

/// <summary>Which columns the model uses and how, decided from the training rows alone, so that nothing of the test leaks in.</summary>
internal sealed partial record FeaturePlan(IReadOnlyList<NumberFeature> Numbers, IReadOnlyList<CategoryFeature> Categories, IReadOnlyList<ColumnSpec> Specs)
{
    /// <summary>The name of the graph's output, which no input may have.</summary>
    public const string Output = "prediction";

    public const int MaxCategories = 200;

    public IReadOnlyList<NumberFeature> Holes { get; } = [.. Numbers.Where(n => n.HasMissing)];

    /// <summary>Positions of the dates among <see cref="Numbers"/>.</summary>
    public IReadOnlyList<int> Dates { get; } = [.. Enumerable.Range(0, Numbers.Count).Where(i => Numbers[i].Type is DatasetColumnType.Date)];

    public static FeaturePlan Choose(TrainingTable table, int[] train, string target, List<string> log)
    {
        var numbers = new List<NumberFeature>();
        var categories = new List<CategoryFeature>();
        var specs = new Dictionary<string, ColumnSpec>();
        foreach (var column in table.Columns.Where(c => c.Name != target))
        {
            var leftOut = column.Name == Output ? "its name is the name of the model's output"
                : column is NumberColumn number ? Use(number, train, numbers, specs)
                : Use((TextColumn)column, train, categories, specs, log);
            if (leftOut is not null) log.Add($"Column '{column.Name}' is left out: {leftOut}.");
        }

        return new FeaturePlan(numbers, categories, [.. table.Columns.Where(c => specs.ContainsKey(c.Name)).Select(c => specs[c.Name])]);
    }

    /// <summary>Takes the column in, or says why not.</summary>
    private static string? Use(NumberColumn column, int[] train, List<NumberFeature> numbers, Dictionary<string, ColumnSpec> specs)
    {
        double[] present = [.. train.Select(r => column[r]).Where(v => !double.IsNaN(v)).Order()];
        var missing = train.Length - present.Length;
        if (present.Length == 0) return "it is empty in every training row";

        var distinct = 1 + Enumerable.Range(1, present.Length - 1).Count(i => present[i] != present[i - 1]);
        if (distinct == 1 && missing == 0) return "it has the same value in every training row";
        if (column.Type is DatasetColumnType.Integer && IsIdentifier(column.Name, present, distinct))
            return "its whole numbers differ in nearly every row, as an identifier's do";

        numbers.Add(new NumberFeature(column.Name, column.Type, missing > 0));
        var median = present[present.Length / 2];
        var (kind, typical) = column.Type switch
        {
            DatasetColumnType.Date => (ColumnKind.Date, DataSplit.Iso(Math.Floor(median))),
            DatasetColumnType.Boolean => (ColumnKind.Boolean, median == 1 ? "true" : "false"),
            _ => (ColumnKind.Number, median.ToString("R")),
        };
        bool dated = kind is ColumnKind.Date;
        specs[column.Name] = new ColumnSpec(column.Name, kind, missing == 0, [],
            dated ? Math.Floor(present[0]) : present[0], dated ? Math.Floor(present[^1]) : present[^1], typical);
        return null;
    }

    private static string? Use(TextColumn column, int[] train, List<CategoryFeature> categories, Dictionary<string, ColumnSpec> specs, List<string> log)
    {
        if (column.TooManyDistinct) return $"it has more than {TextColumn.MaxDistinct:N0} different texts";

        var counts = train.GroupBy(r => column[r]).Select(g => (Text: g.Key, Rows: g.Count())).ToList();
        var present = counts.Where(c => c.Text.Length > 0).OrderByDescending(c => c.Rows).ThenBy(c => c.Text, StringComparer.Ordinal).ToList();
        var missing = counts.Where(c => c.Text.Length == 0).Sum(c => c.Rows);
        if (present.Count == 0) return "it is empty in every training row";
        if (present.Count == 1 && missing == 0) return "it has the same value in every training row";
        if (present.Count > (train.Length - missing) / 2) return "nearly every row has a text of its own, so there is nothing to learn from it";
        if (present.Count > MaxCategories)
            log.Add($"Column '{column.Name}' has {present.Count:N0} different texts: the {MaxCategories} most frequent are used, the rest count as one unknown value.");

        string[] values = [.. present.Take(MaxCategories).Select(c => c.Text)];
        categories.Add(new CategoryFeature(column.Name, missing > 0 ? ["", .. values] : values));
        specs[column.Name] = new ColumnSpec(column.Name, ColumnKind.Category, missing == 0, values, null, null, values[0]);
        return null;
    }

    /// <summary>Nearly unique whole numbers that are called an id, or count the rows, or are too long to be a measure (beyond FP32's exact range).</summary>
    private static bool IsIdentifier(string name, double[] sorted, int distinct) =>
        distinct >= 0.95 * sorted.Length
        && (IdName().IsMatch(name) || sorted[^1] - sorted[0] + 1 <= 1.05 * distinct || sorted[sorted.Length / 2] > 1 << 24);

    [GeneratedRegex(@"(^|[\s_\-.])(id|ids|key|guid|uuid|no|nr|number)$|[a-z](Id|ID|Key|No|Nr|Number)$|^(Id|ID)$|^(row|index)$")]
    private static partial Regex IdName();
}
