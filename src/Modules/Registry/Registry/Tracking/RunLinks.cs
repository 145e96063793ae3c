using static Platform.Registry.Tracking.TrackingDatabase;

namespace Platform.Registry.Tracking;

/// <summary>Finds runs and logged models by what they are connected with.</summary>
internal sealed class RunLinks(TrackingDatabase database)
{
    /// <summary>The newest runs that have the tag, such as those of one revision of the code or the children of a run.</summary>
    public Task<List<Guid>> TaggedAsync(string tenant, string key, string value, int limit, CancellationToken ct) => RunsAsync(tenant,
        $"""
        select r.run_id from registry.experiments x
        cross join lateral (select run_id from registry.run_tags where tenant_id = $1 and experiment_id = x.experiment_id and key = $2 and head = {TrackingSchema.Head("$3")} and value = $3 limit $4) t
        join registry.runs r on r.tenant_id = $1 and r.run_id = t.run_id
        where x.tenant_id = $1 and not x.deleted and not r.deleted order by r.start_time desc, r.run_id limit $4
        """, ct, tenant, key, value, limit);

    /// <summary>The newest runs that read data of one of these digests.</summary>
    public Task<List<Guid>> ReadersAsync(string tenant, IReadOnlyList<string> digests, int limit, CancellationToken ct) => RunsAsync(tenant,
        """
        select r.run_id from registry.experiments x cross join unnest($2::text[]) d (digest)
        cross join lateral (select run_id from registry.run_inputs where tenant_id = $1 and experiment_id = x.experiment_id and digest = d.digest limit $3) i
        join registry.runs r on r.tenant_id = $1 and r.run_id = i.run_id
        where x.tenant_id = $1 and not x.deleted and not r.deleted group by r.run_id, r.start_time order by r.start_time desc, r.run_id limit $3
        """, ct, tenant, digests.ToArray(), limit);

    /// <summary>The newest runs that used a logged model.</summary>
    public Task<List<Guid>> UsersAsync(string tenant, string loggedModel, int limit, CancellationToken ct) => RunsAsync(tenant,
        """
        select r.run_id from registry.run_models m join registry.runs r on r.tenant_id = $1 and r.run_id = m.run_id
        where m.tenant_id = $1 and m.model_id = $2 and not m.is_output and not r.deleted order by r.start_time desc, r.run_id limit $3
        """, ct, tenant, loggedModel, limit);

    /// <summary>The logged models that a run made.</summary>
    public Task<List<string>> MadeByAsync(string tenant, Guid run, int limit, CancellationToken ct) => database.ReadAsync(tenant,
        [
            Sql("""
                select l.model_id from registry.logged_models l where l.tenant_id = $1 and not l.deleted and (l.source_run_id = $3
                    or l.model_id in (select model_id from registry.run_models where tenant_id = $1 and run_id = $2 and is_output)) order by l.created_at, l.model_id limit $4
                """, tenant, run, run.ToString("N"), limit),
        ],
        row => row.GetString(0), ct);

    private Task<List<Guid>> RunsAsync(string tenant, string sql, CancellationToken ct, params object[] values) =>
        database.ReadAsync(tenant, [Sql(sql, values)], row => row.GetGuid(0), ct);
}
