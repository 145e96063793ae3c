using System.Globalization;
using System.Text;
using Platform.Features.Contracts;
using Platform.Kernel;
using Sylvan.Data.Csv;

namespace Platform.Registry.Training;

/// <summary>The dataset by columns, in memory, without the rows that have no target.</summary>
internal sealed class TrainingTable(IReadOnlyList<TableColumn> columns, int rows, long rowsWithoutTarget)
{
    /// <summary>About 1.6 GB of numbers: more belongs on a bigger machine and is refused rather than swapped.</summary>
    public const long MaxCells = 200_000_000;

    public IReadOnlyList<TableColumn> Columns => columns;

    public int Rows => rows;

    public long RowsWithoutTarget => rowsWithoutTarget;

    public TableColumn this[string name] => columns.First(c => c.Name == name);

    /// <summary>Reads canonical CSV: header, ISO dates, invariant numbers, empty for missing.</summary>
    public static async Task<Result<TrainingTable>> ReadAsync(Stream csv, IReadOnlyList<TrainingColumn> columns, string target, CancellationToken ct)
    {
        using var text = new StreamReader(csv, new UTF8Encoding(false), detectEncodingFromByteOrderMarks: false, bufferSize: 1 << 16, leaveOpen: true);
        var options = new CsvDataReaderOptions { HasHeaders = true, BufferSize = 1 << 16, MaxBufferSize = 1 << 24, Delimiter = ',', ResultSetMode = ResultSetMode.SingleResult };
        try
        {
            using var reader = await CsvDataReader.CreateAsync(text, options, ct);
            var ordinals = columns.Select(c => reader.GetOrdinal(c.Name)).ToArray();
            TableColumn[] table = [.. columns.Select(c => c.Type is DatasetColumnType.Text ? (TableColumn)new TextColumn(c.Name) : new NumberColumn(c.Name, c.Type))];
            var targetAt = ordinals[columns.ToList().FindIndex(c => c.Name == target)];

            int rows = 0;
            long withoutTarget = 0;
            while (await reader.ReadAsync(ct))
            {
                if (!double.IsFinite(NumberColumn.Parse(reader.GetFieldSpan(targetAt), DatasetColumnType.Number)))
                {
                    withoutTarget++;
                    continue;
                }

                if (++rows * (long)table.Length > MaxCells)
                    return new Refusal(RefusalKind.TooLarge, "dataset-too-large",
                        $"The dataset has more than {MaxCells / table.Length:N0} rows of {table.Length} columns; that is more than training takes.",
                        "dataset", "Train on fewer rows or fewer columns.");
                for (int i = 0; i < table.Length; i++) table[i].Add(reader.GetFieldSpan(ordinals[i]));
            }

            return new TrainingTable(table, rows, withoutTarget);
        }
        catch (Exception unreadable) when (unreadable is CsvFormatException or FormatException or IndexOutOfRangeException)
        {
            return Refusal.Invalid("unreadable-dataset", "The dataset's rows do not fit its columns.", "dataset", "Upload the dataset again.");
        }
    }

    /// <summary>The named rows again, one after the other; a row may be named more than once.</summary>
    public TrainingTable Take(int[] which) => new([.. columns.Select(c => c.Take(which))], which.Length, 0);
}

/// <summary>One column's values in row order.</summary>
internal abstract class TableColumn(string name, DatasetColumnType type)
{
    public string Name => name;

    public DatasetColumnType Type => type;

    public abstract void Add(ReadOnlySpan<char> field);

    public abstract TableColumn Take(int[] rows);
}

/// <summary>Numbers, dates (days since 1970-01-01 UTC, with the time of day as fraction) and booleans (1 and 0). Missing is NaN.</summary>
internal sealed class NumberColumn(string name, DatasetColumnType type) : TableColumn(name, type)
{
    private List<double> values = [];

    public static NumberColumn Of(string name, DatasetColumnType type, IEnumerable<double> values) => new(name, type) { values = [.. values] };

    public double this[int row]
    {
        get => values[row];
        set => values[row] = value;
    }

    /// <summary>The value as the model's input tensor carries it: a date without its time of day, and beyond FP32 as missing.</summary>
    public float Input(int row)
    {
        var value = (float)(Type is DatasetColumnType.Date ? Math.Floor(values[row]) : values[row]);
        return float.IsFinite(value) ? value : float.NaN;
    }

    public override void Add(ReadOnlySpan<char> field) => values.Add(Parse(field, Type));

    public override TableColumn Take(int[] rows) => new NumberColumn(Name, Type) { values = [.. rows.Select(r => values[r])] };

    public static double Parse(ReadOnlySpan<char> field, DatasetColumnType type)
    {
        if (field.IsEmpty) return double.NaN;
        if (type is DatasetColumnType.Date)
            return (DateTimeOffset.Parse(field, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal) - DateTimeOffset.UnixEpoch).TotalDays;
        if (type is DatasetColumnType.Boolean && bool.TryParse(field, out var truth)) return truth ? 1 : 0;
        var number = double.Parse(field, NumberStyles.Float, CultureInfo.InvariantCulture);
        return double.IsFinite(number) ? number : double.NaN;
    }
}

/// <summary>Texts, each different one kept once. Missing is the empty text.</summary>
internal sealed class TextColumn(string name) : TableColumn(name, DatasetColumnType.Text)
{
    /// <summary>Beyond this many different texts a column cannot be a category, and further ones are not remembered.</summary>
    public const int MaxDistinct = 100_000;

    private readonly List<int> codes = [];
    private readonly List<string> texts = [];
    private readonly Dictionary<string, int> known = [];

    public bool TooManyDistinct { get; private set; }

    public string this[int row]
    {
        get => texts[codes[row]];
        set => codes[row] = Code(value);
    }

    public override void Add(ReadOnlySpan<char> field) => codes.Add(Code(field));

    public override TableColumn Take(int[] rows)
    {
        var taken = new TextColumn(Name);
        foreach (var row in rows) taken.Add(this[row]);
        return taken;
    }

    private int Code(ReadOnlySpan<char> text)
    {
        var lookup = known.GetAlternateLookup<ReadOnlySpan<char>>();
        if (lookup.TryGetValue(text, out var code)) return code;
        if (texts.Count == MaxDistinct)
        {
            TooManyDistinct = true;
            return 0;
        }

        texts.Add(text.ToString());
        known.Add(texts[^1], texts.Count - 1);
        return texts.Count - 1;
    }
}
