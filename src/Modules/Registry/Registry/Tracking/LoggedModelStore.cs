using System.Text.Json;
using Npgsql;
using Platform.Kernel;
using static Platform.Registry.Tracking.TrackingDatabase;

namespace Platform.Registry.Tracking;

internal sealed record LoggedModel(
    string Id, long ExperimentId, string Name, string? ModelType, string? SourceRunId, string Status, string ArtifactUri,
    IReadOnlyDictionary<string, string> Params, IReadOnlyDictionary<string, string> Tags, long CreatedAt, long UpdatedAt, bool Deleted);

/// <param name="Digest">Null for any.</param>
internal sealed record LoggedOn(string Name, string? Digest);

/// <summary>Models as runs log them from MLflow 3 on: files under an id of their own, before anybody registers them.</summary>
internal sealed class LoggedModelStore(TrackingDatabase database, TimeProvider time)
{
    private const int MostSearched = 50_000;

    private const string Columns = "model_id, experiment_id, name, model_type, source_run_id, status, artifact_uri, params, tags, created_at, updated_at, deleted";

    public Task<Result<LoggedModel>> CreateAsync(
        string tenant, long experiment, string name, string? type, string? run, IReadOnlyDictionary<string, string> parameters, IReadOnlyDictionary<string, string> tags, CancellationToken ct)
    {
        var id = $"m-{Guid.CreateVersion7(time.GetUtcNow()):N}";
        return database.RunAsync<LoggedModel>(tenant,
            [
                Sql($"""
                    insert into registry.logged_models (tenant_id, model_id, experiment_id, name, model_type, source_run_id, status, artifact_uri, params, tags, created_at, updated_at)
                    select $1, $2, experiment_id, $4, $5, $6, 'LOGGED_MODEL_PENDING', rtrim(artifact_location, '/') || '/models/' || $2 || '/artifacts', $7::jsonb, $8::jsonb, $9, $9
                    from registry.experiments where tenant_id = $1 and experiment_id = $3 and not deleted returning {Columns}
                    """, tenant, id, experiment, name, type, run, JsonSerializer.Serialize(parameters), JsonSerializer.Serialize(tags), Now),
                Sql("select deleted from registry.experiments where tenant_id = $1 and experiment_id = $2", tenant, experiment),
            ],
            async reader =>
            {
                if (await reader.ReadAsync(ct)) return Read(reader);
                await reader.NextResultAsync(ct);
                return await ExperimentStore.WhyNotAsync(reader, experiment, ct);
            }, ct);
    }

    public async Task<LoggedModel?> FindAsync(string tenant, string id, CancellationToken ct) =>
        (await database.ReadAsync(tenant, [Sql($"select {Columns} from registry.logged_models where tenant_id = $1 and model_id = $2", tenant, id)], Read, ct)).SingleOrDefault();

    /// <param name="metrics">Comparisons that some value logged of the model fulfils.</param>
    /// <param name="datasets">On which of these it was logged, when any are named; without a comparison it is enough that anything was.</param>
    public Task<List<LoggedModel>> ListAsync(string tenant, IReadOnlyList<long> experiments, IReadOnlyList<Comparison> metrics, IReadOnlyList<LoggedOn> datasets, CancellationToken ct)
    {
        var values = new SqlValues(tenant, experiments.ToArray());
        var on = datasets.Count == 0 ? "" : $" and ({string.Join(" or ", datasets.Select(d => d.Digest is null ? $"m.dataset_name = {values.Add(d.Name)}" : $"(m.dataset_name = {values.Add(d.Name)} and m.dataset_digest = {values.Add(d.Digest)})"))})";
        IEnumerable<string> fulfilled = metrics.Select(c => $" and m.key = {values.Add(c.Key)} and {ComparisonSql.Of(c, "m.value", values)}");
        if (metrics.Count == 0 && datasets.Count > 0) fulfilled = [""];
        var conditions = string.Concat(fulfilled.Select(f => $" and exists (select from registry.logged_model_metrics m where m.tenant_id = $1 and m.model_id = l.model_id{f}{on})"));
        return database.ReadAsync(tenant,
            [Sql($"select {Columns} from registry.logged_models l where tenant_id = $1 and experiment_id = any ($2) and not deleted{conditions} order by created_at desc, model_id limit {MostSearched}", values.All)], Read, ct);
    }

    /// <summary>The latest value of each metric of each model on each dataset.</summary>
    /// <param name="key">Of this metric alone, when one is named.</param>
    public async Task<ILookup<string, ModelMetric>> MetricsAsync(string tenant, IReadOnlyList<string> models, string? key, CancellationToken ct) => (await database.ReadAsync(tenant,
        [
            Sql("""
                select distinct on (model_id, key, dataset_name, dataset_digest) model_id, run_id, key, value, timestamp, step, dataset_name, dataset_digest from registry.logged_model_metrics
                where tenant_id = $1 and model_id = any ($2) and ($3::text is null or key = $3) order by model_id, key, dataset_name, dataset_digest, timestamp desc, step desc, value desc
                """, tenant, models.ToArray(), key),
        ],
        row => new ModelMetric(row.GetString(0), row.GetGuid(1), new(row.GetString(2), row.GetDouble(3), row.GetInt64(4), row.GetInt64(5)), row.GetString(6), row.GetString(7)), ct)).ToLookup(m => m.ModelId);

    public Task<Result<LoggedModel>> FinishAsync(string tenant, string id, string status, CancellationToken ct) => ChangeAsync(tenant, id, "status = $3", status, ct);

    public Task<Result<LoggedModel>> DeleteAsync(string tenant, string id, CancellationToken ct) => ChangeAsync(tenant, id, "deleted = $3::boolean", "true", ct);

    public Task<Result<LoggedModel>> SetTagsAsync(string tenant, string id, IReadOnlyDictionary<string, string> tags, CancellationToken ct) =>
        ChangeAsync(tenant, id, "tags = tags || $3::jsonb", JsonSerializer.Serialize(tags), ct);

    /// <summary>Takes the tag away, which must be there.</summary>
    public Task<Result<Done>> DeleteTagAsync(string tenant, string id, string key, CancellationToken ct) => database.RunAsync<Done>(tenant,
        [
            Lock(tenant, id),
            Sql("update registry.logged_models set tags = tags - $3::text, updated_at = $4 where tenant_id = $1 and model_id = $2 and tags -> $3::text is not null returning 1", tenant, id, key, Now),
        ],
        async reader =>
        {
            if (!await reader.ReadAsync(ct)) return Missing(id);
            await reader.NextResultAsync(ct);
            return await reader.ReadAsync(ct) ? Done.Value : new Refusal(RefusalKind.NotFound, "RESOURCE_DOES_NOT_EXIST", $"No tag with key '{key}' found for model with ID '{id}'.", "key");
        }, ct);

    /// <summary>All or none. A parameter is written once: the same value again is fine, another is refused.</summary>
    public Task<Result<Done>> AddParamsAsync(string tenant, string id, IReadOnlyDictionary<string, string> parameters, CancellationToken ct) => database.RunAsync<Done>(tenant,
        [
            // Two at once would each find that the other's is not there.
            Lock(tenant, id),
            Sql("""
                select p.key, l.params ->> p.key, p.value from registry.logged_models l, jsonb_each_text($3::jsonb) p
                where l.tenant_id = $1 and l.model_id = $2 and l.params ->> p.key <> p.value order by p.key limit 1
                """, tenant, id, JsonSerializer.Serialize(parameters)),
            Sql("update registry.logged_models set params = params || $3::jsonb, updated_at = $4 where tenant_id = $1 and model_id = $2", tenant, id, JsonSerializer.Serialize(parameters), Now),
        ],
        async reader =>
        {
            if (!await reader.ReadAsync(ct)) return Missing(id);
            await reader.NextResultAsync(ct);
            if (!await reader.ReadAsync(ct)) return Done.Value;
            return Refusal.Invalid("INVALID_PARAMETER_VALUE",
                $"Changing param values is not allowed. Param with key='{reader.GetString(0)}' was already logged with value='{reader.GetString(1)}' for model ID='{id}'. Attempted logging new value '{reader.GetString(2)}'.", "params");
        }, ct);

    public static Refusal Missing(string id) => new(RefusalKind.NotFound, "RESOURCE_DOES_NOT_EXIST", $"Logged model with ID '{id}' not found.", "model_id");

    private static NpgsqlBatchCommand Lock(string tenant, string id) => Sql("select 1 from registry.logged_models where tenant_id = $1 and model_id = $2 and not deleted for no key update", tenant, id);

    private long Now => time.GetUtcNow().ToUnixTimeMilliseconds();

    private Task<Result<LoggedModel>> ChangeAsync(string tenant, string id, string set, string value, CancellationToken ct) => database.RunAsync<LoggedModel>(tenant,
        [Sql($"update registry.logged_models set {set}, updated_at = $4 where tenant_id = $1 and model_id = $2 and not deleted returning {Columns}", tenant, id, value, Now)],
        async reader => await reader.ReadAsync(ct) ? Read(reader) : Missing(id), ct);

    private static LoggedModel Read(NpgsqlDataReader row) => new(
        row.GetString(0), row.GetInt64(1), row.GetString(2), row.IsDBNull(3) ? null : row.GetString(3), row.IsDBNull(4) ? null : row.GetString(4), row.GetString(5), row.GetString(6),
        Pairs(row, 7), Pairs(row, 8), row.GetInt64(9), row.GetInt64(10), row.GetBoolean(11));

    private static Dictionary<string, string> Pairs(NpgsqlDataReader row, int column) => JsonSerializer.Deserialize<Dictionary<string, string>>(row.GetString(column))!;
}
