using System.Text.Json;
using Platform.Kernel;
using Platform.Registry.Tracking;
using static Platform.Registry.Tracking.TrackingDatabase;

namespace Platform.Registry.Models;

/// <summary>A page of what was found: documents' keys in order.</summary>
/// <param name="Next">Where the next page begins; null on the last.</param>
internal sealed record FoundPage(IReadOnlyList<string> Keys, string? Next);

/// <summary>Finds models and versions in the language of filters, a page at a time, from the rows of <see cref="ModelSearchSchema"/>. What is found is read from its document.</summary>
internal sealed class ModelSearch(TrackingDatabase database)
{
    /// <summary>What filters and orders on models may name.</summary>
    public static readonly string[] ModelTexts = ["name"], ModelOrders = ["name", "timestamp", "last_updated_timestamp"];

    /// <summary>What filters and orders on versions may name.</summary>
    public static readonly string[] VersionTexts = ["name", "run_id", "source_path"], VersionNumbers = ["version_number"], VersionOrders = ["name", "version_number", "creation_timestamp", "last_updated_timestamp"];

    private static readonly Searched Models = new("registry.searched_models", "0", [("s.name", false)], key => key is "name" ? "s.name" : "s.changed_at");

    private static readonly Searched Versions = new("registry.searched_versions", "s.version", [("s.changed_at", true), ("s.name", false), ("s.version", true)], key => key switch
    {
        "name" => "s.name",
        "run_id" => "s.run_id",
        "source_path" => "s.source",
        "version_number" => "s.version",
        "creation_timestamp" => "s.added_at",
        _ => "s.changed_at",
    });

    /// <summary>Models by their names, unless another order is given.</summary>
    public Task<Result<FoundPage>> ModelsAsync(string tenant, IReadOnlyList<Comparison> filter, IReadOnlyList<OrderKey> order, string? token, int limit, CancellationToken ct) =>
        FindAsync(tenant, Models, filter, order, token, limit, ct);

    /// <summary>Versions, those changed last first, unless another order is given.</summary>
    public Task<Result<FoundPage>> VersionsAsync(string tenant, IReadOnlyList<Comparison> filter, IReadOnlyList<OrderKey> order, string? token, int limit, CancellationToken ct) =>
        FindAsync(tenant, Versions, filter, order, token, limit, ct);

    /// <summary>The keys of the latest version of each stage of each of the models.</summary>
    public async Task<string[]> LatestAsync(string tenant, IReadOnlyList<string> models, CancellationToken ct) => [.. await database.ReadAsync(tenant,
        [Sql("select distinct on (s.name, s.stage) s.name, s.version from registry.searched_versions s where s.tenant_id = $1 and s.name = any ($2) order by s.name, s.stage, s.version desc", tenant, models.ToArray())],
        row => ModelVersion.Key(row.GetString(0), row.GetInt32(1)), ct)];

    /// <summary>The token of the page of models by name that begins after this one.</summary>
    public static string After(string name) => Token(JsonSerializer.Serialize(new[] { name }));

    private async Task<Result<FoundPage>> FindAsync(
        string tenant, Searched searched, IReadOnlyList<Comparison> filter, IReadOnlyList<OrderKey> order, string? token, int limit, CancellationToken ct)
    {
        // An order ends with what tells one from every other, so that a page can be told by its last row.
        (string Column, bool Descending)[] keys = [.. order.Select(o => (Column: searched.Column(o.Key), o.Descending)).Concat(order.Count == 0 ? searched.Order : Searched.Last(searched)).DistinctBy(k => k.Column)];
        var after = Read(token, keys);
        if (after.Refusal is { } refusal) return refusal;
        var values = new SqlValues(tenant);
        var conditions = string.Concat(filter.Select(c => $" and {Fulfils(c, searched, values)}"));
        var beyond = after.Value.Last is { } last ? $" and {Beyond(keys, last.Select(values.Add).ToArray(), 0)}" : "";
        var found = await database.ReadAsync(tenant,
            [
                Sql($"""
                    select s.name, {searched.Version}, {string.Join(", ", keys.Select(k => k.Column))} from {searched.Table} s where s.tenant_id = $1{conditions}{beyond}
                    order by {string.Join(", ", keys.Select(k => $"{k.Column}{(k.Descending ? " desc" : "")}"))} limit {limit + 1} offset {after.Value.Skipped}
                    """, values.All),
            ],
            row => (Key: searched == Models ? RegisteredModel.Key(row.GetString(0)) : ModelVersion.Key(row.GetString(0), row.GetInt32(1)), Last: keys.Select((_, i) => row.GetValue(2 + i)).ToArray()), ct, Planning.Free);
        var more = found.Count <= limit ? null
            : after.Value.Skipped > 0 ? Token(JsonSerializer.Serialize(new { offset = after.Value.Skipped + limit }))
            : Token(JsonSerializer.Serialize(found[limit - 1].Last));
        return new FoundPage([.. found.Take(limit).Select(f => f.Key)], more);
    }

    private static string Fulfils(Comparison comparison, Searched searched, SqlValues values)
    {
        if (comparison.Field is not RunField.Tag) return Compares(comparison, searched.Column(comparison.Key), values);
        var has = $"exists (select from registry.searched_tags t where t.tenant_id = $1 and t.name = s.name and t.version = {searched.Version} and t.key = {values.Add(comparison.Key)}";
        return comparison switch
        {
            { Comparator: Comparator.IsNull } => $"not {has})",
            { Comparator: Comparator.IsNotNull } => $"{has})",
            // Clients add this to every search for models: what is not marked as a prompt is none.
            { Comparator: Comparator.NotEqual, Key: "mlflow.prompt.is_prompt" } => $"not {has} and t.value = {values.Add(comparison.Texts[0])})",
            { Comparator: Comparator.Equal } => $"{has} and t.head = left({values.Add(comparison.Texts[0])}, 200) and {Compares(comparison, "t.value", values)})",
            _ => $"{has} and {Compares(comparison, "t.value", values)})",
        };
    }

    /// <summary>Without regard to case in any script, which the byte order of the columns would know for ASCII alone.</summary>
    private static string Compares(Comparison comparison, string column, SqlValues values) => comparison.Comparator is Comparator.ILike
        ? $"upper({column} collate \"default\") like upper({values.Add(comparison.Texts[0])}::text collate \"default\") escape ''"
        : ComparisonSql.Of(comparison, column, values);

    private static string Beyond((string Column, bool Descending)[] keys, string[] last, int from)
    {
        var (column, symbol) = (keys[from].Column, keys[from].Descending ? '<' : '>');
        return from == keys.Length - 1 ? $"{column} {symbol} {last[from]}" : $"{column} {symbol}= {last[from]} and ({column} {symbol} {last[from]} or {Beyond(keys, last, from + 1)})";
    }

    /// <summary>The token, or a refusal: the last row's keys, or how many came before, for callers that make up their own.</summary>
    private static Result<Start> Read(string? token, (string Column, bool Descending)[] keys)
    {
        if (string.IsNullOrEmpty(token)) return new Start(null, 0);
        try
        {
            using var json = JsonDocument.Parse(Convert.FromBase64String(token));
            if (json.RootElement.ValueKind is JsonValueKind.Object) return json.RootElement.GetProperty("offset").TryGetInt64(out var skip) && skip > 0 ? new Start(null, skip) : Bad();
            object[] last = [.. json.RootElement.EnumerateArray().Select(v => v.ValueKind is JsonValueKind.Number ? v.GetInt64() : (object)v.GetString()!)];
            return last.Length == keys.Length && last.Zip(keys).All(both => both.First is string text ? both.Second.Column is "s.name" && !text.Contains('\0') : both.First is long && both.Second.Column is not "s.name") ? new Start(last, 0) : Bad();
        }
        catch (Exception broken) when (broken is FormatException or JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return Bad();
        }
    }

    private static string Token(string json) => Convert.ToBase64String(System.Text.Encoding.UTF8.GetBytes(json));

    private static Refusal Bad() => Refusal.Invalid("INVALID_PARAMETER_VALUE", "Invalid page token: it is not one of this search's.", "page_token");

    /// <param name="Last">The keys of the row that the page begins after.</param>
    /// <param name="Skipped">How many come before it, where it is told by count.</param>
    private sealed record Start(object[]? Last, long Skipped);

    /// <summary>What is searched.</summary>
    /// <param name="Version">The version's number as SQL.</param>
    /// <param name="Order">The order where none is given.</param>
    /// <param name="Column">The column of an attribute.</param>
    private sealed record Searched(string Table, string Version, (string Column, bool Descending)[] Order, Func<string, string> Column)
    {
        /// <summary>What tells one from every other: of one model's versions the newest comes first.</summary>
        public static IEnumerable<(string Column, bool Descending)> Last(Searched searched) => searched.Version is "0" ? [("s.name", false)] : [("s.name", false), (searched.Version, true)];
    }
}
