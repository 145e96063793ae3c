using System.Globalization;
using System.Text;
using System.Text.Json;
using Platform.Kernel;
using Sylvan.Data.Csv;

namespace Platform.Registry.RunComparison;

/// <summary>What an error is, of one row.</summary>
internal enum Loss
{
    /// <summary>(prediction − truth)²</summary>
    Squared,
    /// <summary>|prediction − truth|</summary>
    Absolute,
    /// <summary>−ln of the probability given to the truth, for a truth of 0 or 1 and a predicted probability of 1; probabilities are kept 1e-15 away from 0 and 1.</summary>
    Log,
    /// <summary>0 where the prediction is the truth, else 1.</summary>
    ZeroOne,
}

/// <summary>A run's predictions on its evaluation set, row by row, as they stand in a file it logged.</summary>
/// <param name="Ids">What tells the rows apart; null where no column was named.</param>
internal sealed record EvaluationRows(string TruthColumn, string PredictionColumn, IReadOnlyList<string> Truths, IReadOnlyList<string> Predictions, IReadOnlyList<string>? Ids)
{
    /// <summary>The file that MLflow's evaluation logs, and one that is easily written by hand, in the order they are looked for.</summary>
    public static readonly string[] Files = ["eval_results_table.json", Csv];

    public const string Csv = "evaluation.csv";

    public const long MostBytes = 64 << 20;
    public const int MostRows = 500_000;

    private static readonly string[] TruthNames = ["target", "truth", "label"], PredictionNames = ["prediction", "outputs"];
    private const double Sure = 1e-15;

    /// <summary>Reads a file of MLflow's (pandas' "split" form: columns and data) or a CSV with a line of names.</summary>
    /// <param name="truth">The column with the truth; null for the first there is of <c>target</c>, <c>truth</c>, <c>label</c>. So is the prediction's: <c>prediction</c>, <c>outputs</c>.</param>
    public static async Task<Result<EvaluationRows>> ReadAsync(Stream content, bool isJson, string? truth, string? prediction, string? id, CancellationToken ct)
    {
        try
        {
            return isJson ? await ReadJsonAsync(content, truth, prediction, id, ct) : await ReadCsvAsync(content, truth, prediction, id, ct);
        }
        catch (JsonException malformed)
        {
            return Bad($"It is not JSON (line {malformed.LineNumber + 1}, byte {malformed.BytePositionInLine}).");
        }
        catch (CsvFormatException malformed)
        {
            return Bad($"It cannot be read as a CSV (row {malformed.RowNumber}): {malformed.Message}");
        }
    }

    /// <summary>The error of each row under the loss.</summary>
    public Result<double[]> Losses(Loss loss)
    {
        var losses = new double[Truths.Count];
        for (var i = 0; i < losses.Length; i++)
        {
            if (Of(loss, Truths[i], Predictions[i]) is not { } error)
            {
                return Bad(loss is Loss.Log
                    ? $"Row {i + 1} has truth '{Short(Truths[i])}' and prediction '{Short(Predictions[i])}': log loss needs a truth of 0 or 1 and a predicted probability between 0 and 1."
                    : $"Row {i + 1} has truth '{Short(Truths[i])}' and prediction '{Short(Predictions[i])}', which are not both numbers: use loss=zero-one for classes.");
            }

            losses[i] = error;
        }

        return losses;
    }

    /// <summary>Squared where all are numbers, else 0-1.</summary>
    public Loss UsualLoss() => Truths.All(t => Number(t) is not null) && Predictions.All(p => Number(p) is not null) ? Loss.Squared : Loss.ZeroOne;

    /// <summary>For each row of this set, which of the other's is the same: by id where there is one, else by place. Refused where the two are not the same rows with the same truths.</summary>
    public Result<int[]> PairWith(EvaluationRows other, string mine, string theirs)
    {
        if (Ids is null || other.Ids is null) return PairByPlace(other, mine, theirs);
        Dictionary<string, int> places = new(StringComparer.Ordinal);
        foreach (var (id, place) in other.Ids.Select((id, place) => (id, place)))
        {
            if (!places.TryAdd(id, place)) return Different($"'{theirs}' has the id '{Short(id)}' more than once.");
        }

        HashSet<string> seen = new(StringComparer.Ordinal);
        var pairs = new int[Ids.Count];
        for (var i = 0; i < pairs.Length; i++)
        {
            if (!seen.Add(Ids[i])) return Different($"'{mine}' has the id '{Short(Ids[i])}' more than once.");
            if (!places.TryGetValue(Ids[i], out var place)) return Different($"'{mine}' has a row '{Short(Ids[i])}' that '{theirs}' has not.");
            if (!SameText(Truths[i], other.Truths[place])) return Different($"the truth of row '{Short(Ids[i])}' is '{Short(Truths[i])}' in '{mine}' and '{Short(other.Truths[place])}' in '{theirs}'.");
            pairs[i] = place;
        }

        return other.Ids.Count == pairs.Length ? pairs : Different($"'{theirs}' has a row '{Short(other.Ids.First(id => !seen.Contains(id)))}' that '{mine}' has not.");
    }

    private Result<int[]> PairByPlace(EvaluationRows other, string mine, string theirs)
    {
        if (Truths.Count != other.Truths.Count) return Different($"'{mine}' has {Truths.Count:N0} rows and '{theirs}' {other.Truths.Count:N0}.");
        for (var i = 0; i < Truths.Count; i++)
        {
            if (!SameText(Truths[i], other.Truths[i])) return Different($"the truth of row {i + 1} is '{Short(Truths[i])}' in '{mine}' and '{Short(other.Truths[i])}' in '{theirs}'.");
        }

        return Enumerable.Range(0, Truths.Count).ToArray();
    }

    private static double? Of(Loss loss, string truth, string prediction)
    {
        if (loss is Loss.ZeroOne) return SameText(truth, prediction) ? 0 : 1;
        if (Number(prediction) is not { } said) return null;
        if (loss is Loss.Log)
        {
            return said is < 0 or > 1 || Flag(truth) is not { } happened ? null : -Math.Log(Math.Clamp(happened ? said : 1 - said, Sure, 1 - Sure));
        }

        if (Number(truth) is not { } was) return null;
        var error = said - was;
        return loss is Loss.Absolute ? Math.Abs(error) : error * error;
    }

    private static bool? Flag(string truth) => Number(truth) switch { 1 => true, 0 => false, null when bool.TryParse(truth, out var flag) => flag, _ => null };

    /// <summary>1 and 1.0 are one class, written by two tools.</summary>
    private static bool SameText(string one, string other) => one == other || (Number(one) is { } a && Number(other) is { } b && a == b) || (bool.TryParse(one, out var x) && bool.TryParse(other, out var y) && x == y);

    private static double? Number(string text) => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number) ? number : null;

    private static async Task<Result<EvaluationRows>> ReadJsonAsync(Stream content, string? truth, string? prediction, string? id, CancellationToken ct)
    {
        using var json = await JsonDocument.ParseAsync(content, default, ct);
        if (json.RootElement is not { ValueKind: JsonValueKind.Object } table || !table.TryGetProperty("columns", out var columns) || columns.ValueKind is not JsonValueKind.Array
            || !table.TryGetProperty("data", out var data) || data.ValueKind is not JsonValueKind.Array)
        {
            return Bad("It is not a table as MLflow writes it: an object with 'columns' and 'data'.");
        }

        var chosen = Choose([.. columns.EnumerateArray().Select(TextOf)], truth, prediction, id);
        if (chosen.Refusal is { } refusal) return refusal;
        if (data.GetArrayLength() > MostRows) return Bad(TooMany);
        var (t, p, key) = chosen.Value;
        List<string> truths = [], predictions = [], ids = [];
        foreach (var row in data.EnumerateArray())
        {
            if (row.ValueKind is not JsonValueKind.Array || row.GetArrayLength() != columns.GetArrayLength()) return Bad($"Row {truths.Count + 1} has not the {columns.GetArrayLength()} values that there are columns.");
            truths.Add(TextOf(row[t]));
            predictions.Add(TextOf(row[p]));
            if (key >= 0) ids.Add(TextOf(row[key]));
        }

        return Made(TextOf(columns[t]), TextOf(columns[p]), truths, predictions, key >= 0 ? ids : null);
    }

    private static async Task<Result<EvaluationRows>> ReadCsvAsync(Stream content, string? truth, string? prediction, string? id, CancellationToken ct)
    {
        using var text = new StreamReader(content, new UTF8Encoding(false), detectEncodingFromByteOrderMarks: true);
        await using var csv = await CsvDataReader.CreateAsync(text, new CsvDataReaderOptions { BufferSize = 1 << 16, MaxBufferSize = 1 << 24, OwnsReader = false }, ct);
        string[] names = [.. Enumerable.Range(0, csv.FieldCount).Select(csv.GetName)];
        var chosen = Choose(names, truth, prediction, id);
        if (chosen.Refusal is { } refusal) return refusal;
        var (t, p, key) = chosen.Value;
        List<string> truths = [], predictions = [], ids = [];
        while (await csv.ReadAsync(ct))
        {
            if (truths.Count == MostRows) return Bad(TooMany);
            if (csv.RowFieldCount != names.Length) return Bad($"Row {truths.Count + 1} has {csv.RowFieldCount} values where there are {names.Length} columns.");
            truths.Add(csv.GetString(t));
            predictions.Add(csv.GetString(p));
            if (key >= 0) ids.Add(csv.GetString(key));
        }

        return Made(names[t], names[p], truths, predictions, key >= 0 ? ids : null);
    }

    private static Result<EvaluationRows> Made(string truth, string prediction, List<string> truths, List<string> predictions, List<string>? ids) =>
        truths.Count == 0 ? Bad("It has no rows.") : new EvaluationRows(truth, prediction, truths, predictions, ids);

    private static Result<(int Truth, int Prediction, int Id)> Choose(string[] names, string? truth, string? prediction, string? id)
    {
        var t = Find(truth, TruthNames);
        var p = Find(prediction, PredictionNames);
        var key = string.IsNullOrEmpty(id) ? -1 : Array.IndexOf(names, id);
        var there = $"It has the columns {string.Join(", ", names.Take(30).Select(n => $"'{Short(n)}'"))}.";
        if (t < 0) return Missing("truth", truth, TruthNames);
        if (p < 0) return Missing("prediction", prediction, PredictionNames);
        if (key < 0 && !string.IsNullOrEmpty(id)) return Refusal.Invalid("no-such-column", $"There is no column '{Short(id)}'. {there}", "id", "Name a column that is there.");
        return (t, p, key);

        int Find(string? named, string[] usual) => string.IsNullOrEmpty(named) ? usual.Select(n => Array.IndexOf(names, n)).FirstOrDefault(at => at >= 0, -1) : Array.IndexOf(names, named);

        Refusal Missing(string which, string? named, string[] usual) => Refusal.Invalid("no-such-column",
            string.IsNullOrEmpty(named) ? $"It has none of the columns {string.Join(", ", usual)}. {there}" : $"There is no column '{Short(named)}'. {there}", which, $"Say with {which}= which column it is.");
    }

    private static string TextOf(JsonElement value) => value.ValueKind switch { JsonValueKind.String => value.GetString()!, JsonValueKind.Null => "", _ => value.GetRawText() };

    private static string Short(string text) => text.Length > 60 ? text[..60] + "…" : text;

    private static string TooMany => $"It has more than {MostRows:N0} rows.";

    private static Refusal Bad(string detail) => Refusal.Invalid("bad-evaluation", detail, "runs", "Log a table with a row for each prediction and a column each for truth and prediction.");

    private static Refusal Different(string detail) => Refusal.Conflict("not-the-same-rows", $"The runs were not evaluated on the same rows: {detail}", "runs", "Compare runs that were evaluated on one set, and name an id column where their order differs.");
}
