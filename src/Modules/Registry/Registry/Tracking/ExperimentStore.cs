using System.Text.Json;
using Npgsql;
using Platform.Kernel;
using static Platform.Registry.Tracking.TrackingDatabase;

namespace Platform.Registry.Tracking;

/// <param name="Tags">A person's own labels.</param>
internal sealed record Experiment(long Id, string Name, string ArtifactLocation, bool Deleted, long CreatedAt, long UpdatedAt, IReadOnlyDictionary<string, string> Tags);

/// <param name="Runs">Counted up to <see cref="ExperimentStore.MostCounted"/>.</param>
/// <param name="LastRun">When the latest run began.</param>
internal sealed record CountedExperiment(Experiment Experiment, long Runs, long? LastRun);

/// <summary>Which of what may be deleted is asked for.</summary>
internal enum Lifecycle
{
    Active,
    Deleted,
    All,
}

/// <summary>Experiments of a tenant. Each tenant has <c>Default</c>, number 0, from the first time it is looked for.</summary>
internal sealed class ExperimentStore(TrackingDatabase database, TimeProvider time)
{
    public const string DefaultName = "Default";

    /// <summary>More than anybody has.</summary>
    private const int MostSearched = 50_000;

    private const string Columns = "experiment_id, name, artifact_location, deleted, created_at, updated_at, tags";

    public async Task<Result<Experiment>> CreateAsync(string tenant, string name, string? artifactLocation, IReadOnlyDictionary<string, string> tags, CancellationToken ct)
    {
        var now = time.GetUtcNow().ToUnixTimeMilliseconds();
        return await database.RunAsync<Experiment>(tenant,
            [
                Default(tenant, now),
                // Two at once would take one number.
                Sql("select pg_advisory_xact_lock(hashtextextended('registry.experiments ' || $1, 0))", tenant),
                Sql($"""
                    insert into registry.experiments (tenant_id, experiment_id, name, artifact_location, created_at, updated_at, tags)
                    select $1, next, $2, coalesce($3, 'mlflow-artifacts:/' || next), $4, $4, $5::jsonb
                    from (select greatest(coalesce(max(experiment_id), 0), (select last from registry.experiment_numbers where tenant_id = $1)) + 1 as next from registry.experiments where tenant_id = $1) numbered
                    on conflict (tenant_id, name) where not deleted do nothing returning {Columns}
                    """, tenant, name, artifactLocation, now, JsonSerializer.Serialize(tags)),
            ],
            async reader =>
            {
                await reader.NextResultAsync(ct);
                return await reader.ReadAsync(ct) ? Read(reader) : Exists(name);
            }, ct);
    }

    public async Task<Experiment?> FindAsync(string tenant, long id, CancellationToken ct) =>
        (await database.ReadAsync(tenant, WithDefault(tenant, Sql($"select {Columns} from registry.experiments where tenant_id = $1 and experiment_id = $2", tenant, id)), Read, ct)).SingleOrDefault();

    /// <summary>The experiment of this name: the one in use, else the one deleted last.</summary>
    public async Task<Experiment?> FindAsync(string tenant, string name, CancellationToken ct) =>
        (await database.ReadAsync(tenant,
            WithDefault(tenant, Sql($"select {Columns} from registry.experiments where tenant_id = $1 and name = $2 order by deleted, updated_at desc limit 1", tenant, name)), Read, ct)).SingleOrDefault();

    public Task<List<Experiment>> ListAsync(string tenant, Lifecycle lifecycle, CancellationToken ct) =>
        database.ReadAsync(tenant,
            WithDefault(tenant, Sql($"select {Columns} from registry.experiments where tenant_id = $1 and ($2::boolean is null or deleted = $2) order by experiment_id desc limit {MostSearched}",
                tenant, lifecycle is Lifecycle.All ? DBNull.Value : lifecycle is Lifecycle.Deleted)), Read, ct);

    /// <summary>Beyond this a person reads "many".</summary>
    public const int MostCounted = 10_000;

    /// <summary>Those whose name has the text in it, with their runs, the newest first.</summary>
    public Task<List<CountedExperiment>> CountAsync(string tenant, string? search, Lifecycle lifecycle, CancellationToken ct) => CountAsync(tenant, search, lifecycle, null, ct);

    /// <summary>One with its runs.</summary>
    public async Task<CountedExperiment?> CountAsync(string tenant, long id, CancellationToken ct) => (await CountAsync(tenant, null, Lifecycle.All, id, ct)).SingleOrDefault();

    private Task<List<CountedExperiment>> CountAsync(string tenant, string? search, Lifecycle lifecycle, long? id, CancellationToken ct) => database.ReadAsync(tenant,
        WithDefault(tenant, Sql($"""
            select {Columns}, counted.runs, latest.start_time from registry.experiments e
            cross join lateral (select count(*) as runs from (select 1 from registry.runs r where r.tenant_id = $1 and r.experiment_id = e.experiment_id and not r.deleted limit {MostCounted}) begun) counted
            left join lateral (select r.start_time from registry.runs r where r.tenant_id = $1 and r.experiment_id = e.experiment_id and not r.deleted order by r.start_time desc limit 1) latest on true
            where e.tenant_id = $1 and ($2::boolean is null or e.deleted = $2) and ($3::bigint is null or e.experiment_id = $3) and ($4 = '' or strpos(upper(e.name), upper($4)) > 0)
            order by e.experiment_id desc limit {MostSearched}
            """, tenant, lifecycle is Lifecycle.All ? DBNull.Value : lifecycle is Lifecycle.Deleted, id ?? (object)DBNull.Value, search ?? "")),
        row => new CountedExperiment(Read(row), row.GetInt64(7), row.IsDBNull(8) ? null : row.GetInt64(8)), ct);

    /// <summary>Those that fulfil the comparisons, in the order of the keys and then the newest first, so many after the first ones.</summary>
    public Task<List<Experiment>> SearchAsync(string tenant, Lifecycle lifecycle, IReadOnlyList<Comparison> filter, IReadOnlyList<OrderKey> orders, int offset, int most, CancellationToken ct)
    {
        var values = new SqlValues(tenant, lifecycle is Lifecycle.All ? DBNull.Value : lifecycle is Lifecycle.Deleted);
        var conditions = string.Concat(filter.Select(c => $" and {ComparisonSql.Of(c, c.Field is RunField.Tag ? $"(tags ->> {values.Add(c.Key)}) collate \"C\"" : Column(c.Key), values)}"));
        var order = string.Concat(orders.Select(o => $"{Column(o.Key)} {(o.Descending ? "desc" : "asc")}, "));
        return database.ReadAsync(tenant,
            WithDefault(tenant, Sql($"select {Columns} from registry.experiments where tenant_id = $1 and ($2::boolean is null or deleted = $2){conditions} order by {order}experiment_id desc offset {offset} limit {most}", values.All)), Read, ct);

        static string Column(string attribute) => attribute switch
        {
            "name" => "name",
            "creation_time" => "created_at",
            "last_update_time" => "updated_at",
            _ => "experiment_id",
        };
    }

    public Task<Result<Done>> RenameAsync(string tenant, long id, string name, CancellationToken ct) => UpdateAsync(tenant, id, name, new Dictionary<string, string?>(), ct);

    /// <param name="name">Null leaves it.</param>
    /// <param name="tags">Those to set, and with null those to take away.</param>
    public async Task<Result<Done>> UpdateAsync(string tenant, long id, string? name, IReadOnlyDictionary<string, string?> tags, CancellationToken ct)
    {
        try
        {
            return await WriteAsync(tenant, id, Sql(
                "update registry.experiments set name = coalesce($3, name), tags = (tags || $4::jsonb) - $5::text[], updated_at = $6 where tenant_id = $1 and experiment_id = $2",
                tenant, id, name, JsonSerializer.Serialize(tags.Where(t => t.Value is not null).ToDictionary()), tags.Where(t => t.Value is null).Select(t => t.Key).ToArray(), Now), null, ct);
        }
        catch (PostgresException taken) when (taken.SqlState is PostgresErrorCodes.UniqueViolation)
        {
            return Exists(name!);
        }
    }

    /// <summary>Its runs count as deleted while it is.</summary>
    public Task<Result<Done>> DeleteAsync(string tenant, long id, CancellationToken ct) => ChangeAsync(tenant, id, "deleted = true, deleted_at = $3", "not deleted", ct);

    public async Task<Result<Done>> RestoreAsync(string tenant, long id, CancellationToken ct)
    {
        try
        {
            return await ChangeAsync(tenant, id, "deleted = false, deleted_at = null", "deleted", ct);
        }
        catch (PostgresException taken) when (taken.SqlState is PostgresErrorCodes.UniqueViolation)
        {
            return Refusal.Conflict("RESOURCE_ALREADY_EXISTS", "Another experiment has taken the name since this one was deleted. Rename that one first.", "experiment_id");
        }
    }

    public Task<Result<Done>> SetTagAsync(string tenant, long id, string key, string value, CancellationToken ct) =>
        UpdateAsync(tenant, id, null, new Dictionary<string, string?> { [key] = value }, ct);

    /// <summary>Takes the tag away, which must be there.</summary>
    public Task<Result<Done>> DeleteTagAsync(string tenant, long id, string key, CancellationToken ct) => WriteAsync(tenant, id,
        Sql("update registry.experiments set tags = tags - $3::text, updated_at = $4 where tenant_id = $1 and experiment_id = $2 and tags -> $3::text is not null returning 1", tenant, id, key, Now),
        new Refusal(RefusalKind.NotFound, "RESOURCE_DOES_NOT_EXIST", $"No tag with name: {key} in experiment with id {id}", "key"), ct);

    public static Refusal Missing(string id) => Refusal.NotFound("experiment", id) with { Detail = $"No Experiment with id={id} exists", Mend = null };

    /// <summary>It takes nothing until it is restored.</summary>
    public static Refusal Inactive(long id) => Refusal.Invalid("INVALID_PARAMETER_VALUE", $"The experiment {id} must be in the 'active' state. Current state is deleted.", "experiment_id");

    /// <summary>Why nothing was written into the experiment, by the rows of "select deleted" of it.</summary>
    public static async Task<Refusal> WhyNotAsync(NpgsqlDataReader reader, long id, CancellationToken ct) => await reader.ReadAsync(ct) && reader.GetBoolean(0) ? Inactive(id) : Missing(id.ToString());

    /// <summary>Writes to an experiment that is in use.</summary>
    /// <param name="otherwise">The refusal where the statement returns no row; null where it returns none in any case.</param>
    private Task<Result<Done>> WriteAsync(string tenant, long id, NpgsqlBatchCommand statement, Refusal? otherwise, CancellationToken ct) => database.RunAsync<Done>(tenant,
        [
            // Held to the end, so that it is not deleted meanwhile.
            .. WithDefault(tenant, Sql("select deleted from registry.experiments where tenant_id = $1 and experiment_id = $2 for no key update", tenant, id)),
            statement,
        ],
        async reader =>
        {
            if (!await reader.ReadAsync(ct)) return Missing(id.ToString());
            if (reader.GetBoolean(0)) return Inactive(id);
            await reader.NextResultAsync(ct);
            return otherwise is null || await reader.ReadAsync(ct) ? Done.Value : otherwise;
        }, ct);

    private Task<Result<Done>> ChangeAsync(string tenant, long id, string set, string where, CancellationToken ct) => database.RunAsync<Done>(tenant,
        WithDefault(tenant, Sql($"update registry.experiments set {set}, updated_at = $3 where tenant_id = $1 and experiment_id = $2 and {where} returning 1", tenant, id, Now)),
        async reader => await reader.ReadAsync(ct) ? Done.Value : Missing(id.ToString()), ct);

    private long Now => time.GetUtcNow().ToUnixTimeMilliseconds();

    private IEnumerable<NpgsqlBatchCommand> WithDefault(string tenant, NpgsqlBatchCommand statement) => [Default(tenant, Now), statement];

    private static NpgsqlBatchCommand Default(string tenant, long now) => Sql(
        "insert into registry.experiments (tenant_id, experiment_id, name, artifact_location, created_at, updated_at) values ($1, 0, $2, 'mlflow-artifacts:/0', $3, $3) on conflict do nothing",
        tenant, DefaultName, now);

    private static Experiment Read(NpgsqlDataReader row) => new(
        row.GetInt64(0), row.GetString(1), row.GetString(2), row.GetBoolean(3), row.GetInt64(4), row.GetInt64(5),
        JsonSerializer.Deserialize<Dictionary<string, string>>(row.GetString(6))!);

    private static Refusal Exists(string name) => Refusal.Conflict("RESOURCE_ALREADY_EXISTS", $"Experiment(name={name}) already exists.", "name");
}
