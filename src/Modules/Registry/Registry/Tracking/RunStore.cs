using System.Text.Json;
using Npgsql;
using Platform.Kernel;
using static Platform.Registry.Tracking.TrackingDatabase;

namespace Platform.Registry.Tracking;

internal sealed record Metric(string Key, double Value, long Timestamp, long Step);

/// <summary>A metric of a logged model's own, on a dataset where one is named.</summary>
internal sealed record ModelMetric(string ModelId, Guid RunId, Metric Metric, string DatasetName, string DatasetDigest);

internal sealed record Pair(string Key, string Value);

/// <param name="Tags">Of the input, such as what it was used for.</param>
internal sealed record DatasetInput(string Name, string Digest, string SourceType, string Source, string? Schema, string? Profile, IReadOnlyList<Pair> Tags);

/// <summary>A logged model that a run made (at a step) or used.</summary>
internal sealed record RunModel(string ModelId, bool IsOutput, long Step);

internal sealed record RunInfo(
    Guid Id, long ExperimentId, string Name, string UserId, string Status, long StartTime, long? EndTime, bool Deleted, string ArtifactUri);

/// <summary>A run with its latest metrics.</summary>
internal sealed record Run(RunInfo Info, IReadOnlyList<Metric> Metrics, IReadOnlyList<Pair> Params, IReadOnlyList<Pair> Tags, IReadOnlyList<DatasetInput> Inputs, IReadOnlyList<RunModel> Models);

/// <summary>Runs: begun, written to and read one at a time. Each call is one batch of statements and one transaction; writers of one run take turns.</summary>
internal sealed class RunStore(TrackingDatabase database, TimeProvider time)
{
    /// <summary>The tag that holds a run's name as well.</summary>
    public const string NameTag = "mlflow.runName";

    /// <summary>The tag of a run that names the one it is part of.</summary>
    public const string ParentTag = "mlflow.parentRunId";

    /// <summary>The tag of a run's dataset that says what for.</summary>
    public const string ContextTag = "mlflow.data.context";

    /// <summary>What is read of runs; <c>r</c> is the run, <c>m</c>, <c>p</c>, <c>t</c> and <c>i</c> what hangs on it (<see cref="Parts"/>).</summary>
    public const string Columns =
        "r.run_id, r.experiment_id, r.name, r.user_id, r.status, r.start_time, r.end_time, r.deleted or x.deleted, r.artifact_uri, "
        + "m.keys, m.values, m.timestamps, m.steps, p.keys, p.values, t.keys, t.values, i.inputs, l.models";

    /// <summary>Each part of each run of a page, by its key, so that a page is one statement.</summary>
    public const string Parts =
        """
        join registry.experiments x on x.tenant_id = $1 and x.experiment_id = r.experiment_id
        cross join lateral (select array_agg(key) as keys, array_agg(value) as values, array_agg(timestamp) as timestamps, array_agg(step) as steps
            from (select * from registry.run_metrics where tenant_id = $1 and run_id = r.run_id order by key) sorted) m
        cross join lateral (select array_agg(key) as keys, array_agg(value) as values from (select * from registry.run_params where tenant_id = $1 and run_id = r.run_id order by key) sorted) p
        cross join lateral (select array_agg(key) as keys, array_agg(value) as values from (select * from registry.run_tags where tenant_id = $1 and run_id = r.run_id order by key) sorted) t
        cross join lateral (select json_agg(json_build_object('Name', name, 'Digest', digest, 'SourceType', source_type, 'Source', source, 'Schema', schema, 'Profile', profile, 'Tags', tags) order by name, digest)::text as inputs
            from registry.run_inputs where tenant_id = $1 and run_id = r.run_id) i
        cross join lateral (select json_agg(json_build_object('ModelId', model_id, 'IsOutput', is_output, 'Step', step) order by step, model_id)::text as models
            from registry.run_models where tenant_id = $1 and run_id = r.run_id) l
        """;

    /// <summary>Begins a run. Where there is one of this id, as when two workers have taken one training, it is that one.</summary>
    public async Task<Result<Run>> CreateAsync(string tenant, long experiment, Guid id, string name, string user, long startTime, IReadOnlyList<Pair> tags, CancellationToken ct)
    {
        return await database.RunAsync<Run>(tenant,
            [
                Sql("""
                    insert into registry.runs (tenant_id, run_id, experiment_id, name, user_id, status, start_time, artifact_uri)
                    select $1, $2, e.experiment_id, $4, $5, 'RUNNING', $6, rtrim(e.artifact_location, '/') || '/' || $7 || '/artifacts'
                    from registry.experiments e where e.tenant_id = $1 and e.experiment_id = $3 and not e.deleted
                    on conflict (tenant_id, run_id) do nothing
                    """, tenant, id, experiment, name, user, startTime, id.ToString("N")),
                SetTags(tenant, id, tags),
                Read(tenant, id),
                Sql("select deleted from registry.experiments where tenant_id = $1 and experiment_id = $2", tenant, experiment),
            ],
            async reader =>
            {
                if (await reader.ReadAsync(ct)) return Of(reader);
                await reader.NextResultAsync(ct);
                return await ExperimentStore.WhyNotAsync(reader, experiment, ct);
            }, ct);
    }

    public async Task<Run?> FindAsync(string tenant, Guid id, CancellationToken ct) => (await database.ReadAsync(tenant, [Read(tenant, id)], Of, ct)).SingleOrDefault();

    /// <param name="name">Null leaves it; so do the others.</param>
    /// <param name="removed">Tags to take away.</param>
    public Task<Result<RunInfo>> UpdateAsync(
        string tenant, Guid id, string? status, long? endTime, string? name, CancellationToken ct, IReadOnlyList<Pair>? tags = null, IReadOnlyList<string>? removed = null) => database.RunAsync<RunInfo>(tenant,
        [
            Sql("update registry.runs set status = coalesce($3, status), end_time = coalesce($4::bigint, end_time), name = coalesce($5, name) where tenant_id = $1 and run_id = $2 and not deleted",
                tenant, id, status, endTime ?? (object)DBNull.Value, name),
            Sql("delete from registry.run_tags where tenant_id = $1 and run_id = $2 and key = any($3) and exists (select from registry.runs where tenant_id = $1 and run_id = $2 and not deleted)",
                tenant, id, removed ?? []),
            SetTags(tenant, id, [.. tags ?? [], .. name is null ? Array.Empty<Pair>() : [new(NameTag, name)]]),
            Read(tenant, id),
        ],
        async reader => !await reader.ReadAsync(ct) ? Missing(id) : Of(reader).Info is { Deleted: false } info ? info : Inactive(id), ct);

    public Task<Result<Done>> SetDeletedAsync(string tenant, Guid id, bool deleted, CancellationToken ct) => database.RunAsync<Done>(tenant,
        [
            Sql("update registry.runs set deleted = $3, deleted_at = case when $3 then coalesce(deleted_at, $4) end where tenant_id = $1 and run_id = $2 returning 1",
                tenant, id, deleted, time.GetUtcNow().ToUnixTimeMilliseconds()),
        ],
        async reader => await reader.ReadAsync(ct) ? Done.Value : Missing(id), ct);

    /// <summary>Everything or nothing. Parameters are written once: the same value again is fine, another is refused. The same metric again changes nothing.</summary>
    /// <param name="ofModels">Those of the metrics that are a logged model's, too.</param>
    public Task<Result<Done>> LogAsync(
        string tenant, Guid id, IReadOnlyList<Metric> metrics, IReadOnlyList<Pair> parameters, IReadOnlyList<Pair> tags, CancellationToken ct, IReadOnlyList<ModelMetric>? ofModels = null) => database.RunAsync<Done>(tenant,
        [
            // Held to the end, so that batches of one run do not wait for each other's keys crosswise.
            Lock(tenant, id),
            .. LogModelMetrics(tenant, id, ofModels ?? []),
            .. LogMetrics(tenant, id, metrics),
            .. LogParams(tenant, id, parameters),
            SetTags(tenant, id, tags),
        ],
        async reader =>
        {
            if (!await reader.ReadAsync(ct)) return Missing(id);
            if (reader.GetBoolean(0)) return Inactive(id);
            await reader.NextResultAsync(ct);
            if (ofModels is { Count: > 0 })
            {
                if (await reader.ReadAsync(ct)) return LoggedModelStore.Missing(reader.GetString(0));
                await reader.NextResultAsync(ct);
            }

            if (parameters.Count == 0 || !await reader.ReadAsync(ct)) return Done.Value;
            return Refusal.Invalid("INVALID_PARAMETER_VALUE",
                $"Changing param values is not allowed. Param with key='{reader.GetString(0)}' was already logged with value='{reader.GetString(1)}' for run ID='{id:N}'. Attempted logging new value '{reader.GetString(2)}'.", "params");
        }, ct);

    public Task<Result<Done>> DeleteTagAsync(string tenant, Guid id, string key, CancellationToken ct) => database.RunAsync<Done>(tenant,
        [
            Lock(tenant, id),
            Sql("delete from registry.run_tags where tenant_id = $1 and run_id = $2 and key = $3 returning 1", tenant, id, key),
        ],
        async reader =>
        {
            if (!await reader.ReadAsync(ct)) return Missing(id);
            if (reader.GetBoolean(0)) return Inactive(id);
            await reader.NextResultAsync(ct);
            return await reader.ReadAsync(ct) ? Done.Value : new Refusal(RefusalKind.NotFound, "RESOURCE_DOES_NOT_EXIST", $"No tag with name: {key} in run with id {id:N}", "key");
        }, ct);

    /// <summary>Adds to the list of models that the run logged, which is a tag.</summary>
    public Task<Result<Done>> LogModelAsync(string tenant, Guid id, string model, CancellationToken ct) => database.RunAsync<Done>(tenant,
        [
            Lock(tenant, id),
            Sql("""
                insert into registry.run_tags as had (tenant_id, run_id, experiment_id, start_time, key, value)
                select tenant_id, run_id, experiment_id, start_time, 'mlflow.log-model.history', jsonb_build_array($3::jsonb)::text from registry.runs where tenant_id = $1 and run_id = $2 and not deleted
                on conflict (tenant_id, run_id, key) do update set value = (had.value::jsonb || excluded.value::jsonb)::text
                """, tenant, id, model),
        ],
        async reader => !await reader.ReadAsync(ct) ? Missing(id) : reader.GetBoolean(0) ? Inactive(id) : Done.Value, ct);

    public Task<Result<Done>> LogInputsAsync(string tenant, Guid id, IReadOnlyList<DatasetInput> inputs, CancellationToken ct) => database.RunAsync<Done>(tenant,
        [
            Lock(tenant, id),
            Sql("""
                insert into registry.run_inputs as had (tenant_id, run_id, experiment_id, name, digest, source_type, source, schema, profile, context, tags)
                select distinct on (d.name, d.digest) r.tenant_id, r.run_id, r.experiment_id, d.name, d.digest, d.source_type, d.source, d.schema, d.profile, d.tags::jsonb ->> 'mlflow.data.context', d.tags::jsonb
                from registry.runs r, unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[]) with ordinality d (name, digest, source_type, source, schema, profile, tags, n)
                where r.tenant_id = $1 and r.run_id = $2 and not r.deleted order by d.name, d.digest, d.n desc
                on conflict (tenant_id, run_id, name, digest) do update set tags = had.tags || excluded.tags, context = coalesce(excluded.context, had.context)
                """, tenant, id, Each(inputs, i => i.Name), Each(inputs, i => i.Digest), Each(inputs, i => i.SourceType), Each(inputs, i => i.Source), Each(inputs, i => i.Schema),
                Each(inputs, i => i.Profile), Each(inputs, i => JsonSerializer.Serialize(i.Tags.DistinctBy(t => t.Key).ToDictionary(t => t.Key, t => t.Value)))),
        ],
        async reader => !await reader.ReadAsync(ct) ? Missing(id) : reader.GetBoolean(0) ? Inactive(id) : Done.Value, ct);

    /// <summary>Notes the logged models that the run made or used.</summary>
    public Task<Result<Done>> LogModelsAsync(string tenant, Guid id, IReadOnlyList<RunModel> models, CancellationToken ct) => database.RunAsync<Done>(tenant,
        [
            Lock(tenant, id),
            Sql("""
                insert into registry.run_models (tenant_id, run_id, model_id, is_output, step)
                select distinct on (m.model_id, m.is_output) $1, r.run_id, m.model_id, m.is_output, m.step from registry.runs r, unnest($3::text[], $4::boolean[], $5::bigint[]) m (model_id, is_output, step)
                where r.tenant_id = $1 and r.run_id = $2 and not r.deleted on conflict (tenant_id, run_id, model_id, is_output) do update set step = excluded.step
                """, tenant, id, Each(models, m => m.ModelId), Each(models, m => m.IsOutput), Each(models, m => m.Step)),
        ],
        async reader => !await reader.ReadAsync(ct) ? Missing(id) : reader.GetBoolean(0) ? Inactive(id) : Done.Value, ct);

    /// <summary>A metric's values in the order of time, those after the given one.</summary>
    public Task<List<Metric>> HistoryAsync(string tenant, Guid id, string key, Metric? after, int limit, CancellationToken ct) => database.ReadAsync(tenant,
        [
            after is null
                ? Sql("select key, value, timestamp, step from registry.metric_history where tenant_id = $1 and run_id = $2 and key = $3 order by timestamp, step, value limit $4", tenant, id, key, limit)
                : Sql("""
                    select key, value, timestamp, step from registry.metric_history
                    where tenant_id = $1 and run_id = $2 and key = $3 and (timestamp, step, value) > ($5, $6, $7) order by timestamp, step, value limit $4
                    """, tenant, id, key, limit, after.Timestamp, after.Step, after.Value),
        ],
        MetricOf, ct);

    /// <summary>The values of one metric in several runs, at most so many of each.</summary>
    public Task<List<(Guid Run, Metric Metric)>> HistoryAsync(string tenant, IReadOnlyList<Guid> runs, string key, int limit, CancellationToken ct) => database.ReadAsync(tenant,
        [
            Sql("""
                select h.key, h.value, h.timestamp, h.step, asked.id from unnest($2::uuid[]) with ordinality asked (id, n)
                cross join lateral (select key, value, timestamp, step from registry.metric_history where tenant_id = $1 and run_id = asked.id and key = $3 order by timestamp, step, value limit $4) h
                order by asked.n, h.timestamp, h.step, h.value
                """, tenant, runs.ToArray(), key, limit),
        ],
        row => (row.GetGuid(4), MetricOf(row)), ct);

    /// <summary>At most so many values of each run by step, thinned by keeping the least and the greatest value of each of as many stretches: spikes stay.</summary>
    public Task<List<(Guid Run, Metric Metric)>> ThinnedHistoryAsync(string tenant, IReadOnlyList<Guid> runs, string key, long? from, long? to, int points, CancellationToken ct) => database.ReadAsync(tenant,
        [
            Sql("""
                select key, value, timestamp, step, run_id from (
                    select *, row_number() over (partition by run_id, stretch order by value, step) as low, row_number() over (partition by run_id, stretch order by value desc, step) as high,
                        first_value(step) over whole as first, last_value(step) over whole as last, row_number() over whole as nth, count(*) over (partition by run_id) as of_run
                    from (
                        select h.*, ntile($6) over (partition by h.run_id order by h.step, h.timestamp) as stretch from registry.metric_history h
                        where h.tenant_id = $1 and h.run_id = any ($2) and h.key = $3 and h.step between $4 and $5
                    ) cut
                    window whole as (partition by run_id order by step, timestamp rows between unbounded preceding and unbounded following)
                ) ranked
                where of_run <= $6 * 2 or low = 1 or high = 1 or step = first or step = last
                order by run_id, step, timestamp
                """, tenant, runs.ToArray(), key, from ?? long.MinValue, to ?? long.MaxValue, Math.Max(1, points / 2)),
        ],
        row => (row.GetGuid(4), MetricOf(row)), ct);

    public static Refusal Missing(Guid id) => Missing(id.ToString("N"));

    public static Refusal Missing(string id) => new(RefusalKind.NotFound, "RESOURCE_DOES_NOT_EXIST", $"Run with id={id} not found", "run_id");

    /// <summary>A row of <see cref="Columns"/>.</summary>
    public static Run Of(NpgsqlDataReader row)
    {
        var info = new RunInfo(
            row.GetGuid(0), row.GetInt64(1), row.GetString(2), row.GetString(3), row.GetString(4), row.GetInt64(5), row.IsDBNull(6) ? null : row.GetInt64(6), row.GetBoolean(7), row.GetString(8));
        return new(info, Metrics(row), Pairs(row, 13), Pairs(row, 15),
            row.IsDBNull(17) ? [] : [.. JsonSerializer.Deserialize<KeptInput[]>(row.GetString(17))!.Select(i => new DatasetInput(i.Name, i.Digest, i.SourceType, i.Source, i.Schema, i.Profile, [.. i.Tags.Select(t => new Pair(t.Key, t.Value))]))],
            row.IsDBNull(18) ? [] : JsonSerializer.Deserialize<RunModel[]>(row.GetString(18))!);
    }

    private static Metric MetricOf(NpgsqlDataReader row) => new(row.GetString(0), row.GetDouble(1), row.GetInt64(2), row.GetInt64(3));

    private static Metric[] Metrics(NpgsqlDataReader row)
    {
        if (row.IsDBNull(9)) return [];
        var (keys, values, timestamps, steps) = (row.GetFieldValue<string[]>(9), row.GetFieldValue<double[]>(10), row.GetFieldValue<long[]>(11), row.GetFieldValue<long[]>(12));
        return [.. keys.Select((key, i) => new Metric(key, values[i], timestamps[i], steps[i]))];
    }

    private static Pair[] Pairs(NpgsqlDataReader row, int column) =>
        row.IsDBNull(column) ? [] : [.. row.GetFieldValue<string[]>(column).Zip(row.GetFieldValue<string[]>(column + 1), (key, value) => new Pair(key, value))];

    /// <summary>Whether the run is deleted, by itself or with its experiment; it is held to the end.</summary>
    private static NpgsqlBatchCommand Lock(string tenant, Guid id) => Sql(
        "select r.deleted or (select x.deleted from registry.experiments x where x.tenant_id = $1 and x.experiment_id = r.experiment_id) from registry.runs r where r.tenant_id = $1 and r.run_id = $2 for no key update of r",
        tenant, id);

    private static NpgsqlBatchCommand Read(string tenant, Guid id) => Sql($"select {Columns} from registry.runs r {Parts} where r.tenant_id = $1 and r.run_id = $2", tenant, id);

    private static Refusal Inactive(Guid id) => Refusal.Invalid("INVALID_PARAMETER_VALUE", $"The run {id:N} must be in the 'active' state. Current state is deleted.", "run_id");

    private static IEnumerable<NpgsqlBatchCommand> LogMetrics(string tenant, Guid id, IReadOnlyList<Metric> metrics)
    {
        if (metrics.Count == 0) yield break;
        object?[] values = [tenant, id, Each(metrics, m => m.Key), Each(metrics, m => m.Value), Each(metrics, m => m.Timestamp), Each(metrics, m => m.Step)];
        const string Logged = "registry.runs r, unnest($3::text[], $4::double precision[], $5::bigint[], $6::bigint[]) m (key, value, timestamp, step) where r.tenant_id = $1 and r.run_id = $2 and not r.deleted";
        yield return Sql($"""
            insert into registry.metric_history (tenant_id, run_id, key, timestamp, step, value)
            select r.tenant_id, r.run_id, m.key, m.timestamp, m.step, m.value from {Logged} on conflict do nothing
            """, values);
        yield return Sql($"""
            insert into registry.run_metrics as had (tenant_id, run_id, experiment_id, key, value, timestamp, step)
            select distinct on (m.key) r.tenant_id, r.run_id, r.experiment_id, m.key, m.value, m.timestamp, m.step from {Logged} order by m.key, m.step desc, m.timestamp desc, m.value desc
            on conflict (tenant_id, run_id, key) do update set value = excluded.value, timestamp = excluded.timestamp, step = excluded.step
            where (excluded.step, excluded.timestamp, excluded.value) > (had.step, had.timestamp, had.value)
            """, values);
    }

    private static IEnumerable<NpgsqlBatchCommand> LogModelMetrics(string tenant, Guid id, IReadOnlyList<ModelMetric> metrics)
    {
        if (metrics.Count == 0) yield break;
        yield return Sql("select m.id from unnest($2::text[]) m (id) where not exists (select from registry.logged_models l where l.tenant_id = $1 and l.model_id = m.id and not l.deleted) limit 1",
            tenant, Each(metrics, m => m.ModelId));
        yield return Sql("""
            insert into registry.logged_model_metrics (tenant_id, model_id, run_id, key, value, timestamp, step, dataset_name, dataset_digest)
            select $1, m.model_id, $2, m.key, m.value, m.timestamp, m.step, m.name, m.digest
            from unnest($3::text[], $4::text[], $5::double precision[], $6::bigint[], $7::bigint[], $8::text[], $9::text[]) m (model_id, key, value, timestamp, step, name, digest) on conflict do nothing
            """, tenant, id, Each(metrics, m => m.ModelId), Each(metrics, m => m.Metric.Key), Each(metrics, m => m.Metric.Value), Each(metrics, m => m.Metric.Timestamp), Each(metrics, m => m.Metric.Step),
            Each(metrics, m => m.DatasetName), Each(metrics, m => m.DatasetDigest));
    }

    private static IEnumerable<NpgsqlBatchCommand> LogParams(string tenant, Guid id, IReadOnlyList<Pair> parameters)
    {
        if (parameters.Count == 0) yield break;
        object?[] values = [tenant, id, Each(parameters, p => p.Key), Each(parameters, p => p.Value)];
        yield return Sql("""
            insert into registry.run_params (tenant_id, run_id, experiment_id, start_time, key, value)
            select r.tenant_id, r.run_id, r.experiment_id, r.start_time, p.key, p.value from registry.runs r, unnest($3::text[], $4::text[]) p (key, value)
            where r.tenant_id = $1 and r.run_id = $2 and not r.deleted on conflict do nothing
            """, values);
        yield return Sql("""
            select had.key, had.value, p.value from registry.run_params had, unnest($3::text[], $4::text[]) p (key, value)
            where had.tenant_id = $1 and had.run_id = $2 and had.key = p.key and had.value <> p.value order by had.key limit 1
            """, values);
    }

    /// <summary>The last of several with one key counts. The run's name is a tag, too.</summary>
    private static NpgsqlBatchCommand SetTags(string tenant, Guid id, IReadOnlyList<Pair> tags) => Sql("""
        with given as (select distinct on (key) key, value from unnest($3::text[], $4::text[]) with ordinality t (key, value, n) order by key, n desc),
        named as (update registry.runs set name = given.value from given where tenant_id = $1 and run_id = $2 and not deleted and given.key = 'mlflow.runName' and name <> given.value)
        insert into registry.run_tags (tenant_id, run_id, experiment_id, start_time, key, value)
        select r.tenant_id, r.run_id, r.experiment_id, r.start_time, given.key, given.value from registry.runs r, given where r.tenant_id = $1 and r.run_id = $2 and not r.deleted
        on conflict (tenant_id, run_id, key) do update set value = excluded.value
        """, tenant, id, Each(tags, t => t.Key), Each(tags, t => t.Value));

    private static TValue[] Each<T, TValue>(IReadOnlyList<T> items, Func<T, TValue> value) => [.. items.Select(value)];

    private sealed record KeptInput(string Name, string Digest, string SourceType, string Source, string? Schema, string? Profile, Dictionary<string, string> Tags);
}
