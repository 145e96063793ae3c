using Marten;
using Platform.Registry.Models;
using Platform.Registry.Tracking;
using static Platform.Registry.Tracking.TrackingDatabase;

namespace Platform.Registry.Retention;

internal sealed record Purged(long Experiments, long Runs, long LoggedModels, long Artifacts);

/// <summary>Takes away for good what was deleted: runs, logged models and experiments with all that hangs on them. What is restored meanwhile stays, and what is held does.
/// A few at a time, each with its own in one statement, so that it may be killed anywhere.</summary>
internal sealed class Purge(TrackingDatabase database, IDocumentStore store, TimeProvider time)
{
    private const int AtOnce = 20;

    /// <summary>For the statement of one step; a run may have logged millions of values.</summary>
    private const int Patience = 1_800;

    /// <summary>The folder here of an artifact address, or null where it is elsewhere.</summary>
    private const string Folder = "substring(artifact_uri from '^mlflow-artifacts:(?://[^/]*)?/(.+)$')";

    private const string Held = "exists (select from registry.legal_holds h where h.tenant_id = $1 and h.kind = 'experiment' and h.name = x.experiment_id::text)";

    /// <param name="deletedBy">What was deleted by this moment.</param>
    public async Task<Purged> RunAsync(string tenant, DateTimeOffset deletedBy, CancellationToken ct)
    {
        // When it was deleted is not known of what was before this was kept; its time begins now.
        await CountAsync(tenant, $"""
            with runs as (update registry.runs set deleted_at = $2 where tenant_id = $1 and deleted and deleted_at is null),
            experiments as (update registry.experiments set deleted_at = $2 where tenant_id = $1 and deleted and deleted_at is null) select 0::bigint, 0::bigint
            """, time.GetUtcNow(), ct);
        var runs = await UntilDoneAsync(tenant, $"""
            with doomed as materialized (
                select r.run_id, {Folder} as folder from registry.runs r join registry.experiments x on x.tenant_id = $1 and x.experiment_id = r.experiment_id
                where r.tenant_id = $1 and ((r.deleted and r.deleted_at <= $2) or (x.deleted and x.deleted_at <= $2)) and not {Held} limit {AtOnce} for update of r, x skip locked),
            m as (delete from registry.metric_history o using doomed d where o.tenant_id = $1 and o.run_id = d.run_id),
            l as (delete from registry.run_metrics o using doomed d where o.tenant_id = $1 and o.run_id = d.run_id),
            p as (delete from registry.run_params o using doomed d where o.tenant_id = $1 and o.run_id = d.run_id),
            t as (delete from registry.run_tags o using doomed d where o.tenant_id = $1 and o.run_id = d.run_id),
            i as (delete from registry.run_inputs o using doomed d where o.tenant_id = $1 and o.run_id = d.run_id),
            k as (delete from registry.run_models o using doomed d where o.tenant_id = $1 and o.run_id = d.run_id),
            f as (delete from registry.artifacts o using doomed d where o.tenant_id = $1 and o.path >= d.folder || '/' and o.path < d.folder || '0' returning 1),
            gone as (delete from registry.runs o using doomed d where o.tenant_id = $1 and o.run_id = d.run_id returning 1)
            select (select count(*) from gone), (select count(*) from f)
            """, deletedBy, ct);
        var models = await UntilDoneAsync(tenant, $"""
            with doomed as materialized (
                select o.model_id, {Folder} as folder from registry.logged_models o join registry.experiments x on x.tenant_id = $1 and x.experiment_id = o.experiment_id
                where o.tenant_id = $1 and ((o.deleted and o.updated_at <= $2) or (x.deleted and x.deleted_at <= $2)) and not {Held} limit {AtOnce} for update of o, x skip locked),
            m as (delete from registry.logged_model_metrics o using doomed d where o.tenant_id = $1 and o.model_id = d.model_id),
            k as (delete from registry.run_models o using doomed d where o.tenant_id = $1 and o.model_id = d.model_id),
            f as (delete from registry.artifacts o using doomed d where o.tenant_id = $1 and o.path >= d.folder || '/' and o.path < d.folder || '0' returning 1),
            gone as (delete from registry.logged_models o using doomed d where o.tenant_id = $1 and o.model_id = d.model_id returning 1)
            select (select count(*) from gone), (select count(*) from f)
            """, deletedBy, ct);
        // Its runs and models went before; what is left in its folder goes along, unless the folder was shared.
        var experiments = await UntilDoneAsync(tenant, $"""
            with doomed as materialized (
                select x.experiment_id, case when artifact_location = 'mlflow-artifacts:/' || x.experiment_id then x.experiment_id::text end as folder from registry.experiments x
                where x.tenant_id = $1 and x.experiment_id > 0 and x.deleted and x.deleted_at <= $2 and not {Held}
                    and not exists (select from registry.runs r where r.tenant_id = $1 and r.experiment_id = x.experiment_id)
                    and not exists (select from registry.logged_models o where o.tenant_id = $1 and o.experiment_id = x.experiment_id) limit {AtOnce} for update of x skip locked),
            n as (insert into registry.experiment_numbers as had (tenant_id, last) select $1, max(experiment_id) from doomed having count(*) > 0
                on conflict (tenant_id) do update set last = greatest(had.last, excluded.last)),
            f as (delete from registry.artifacts o using doomed d where o.tenant_id = $1 and o.path >= d.folder || '/' and o.path < d.folder || '0' returning 1),
            gone as (delete from registry.experiments o using doomed d where o.tenant_id = $1 and o.experiment_id = d.experiment_id returning 1)
            select (select count(*) from gone), (select count(*) from f)
            """, deletedBy, ct);
        return new(experiments.Things, runs.Things, models.Things, runs.Artifacts + models.Artifacts + experiments.Artifacts);
    }

    /// <summary>Takes away the files of versions that are not there any more.</summary>
    /// <param name="storedBy">Stored by this moment: a version's files are there a little before it is.</param>
    /// <returns>How many.</returns>
    public async Task<long> OrphansAsync(string tenant, DateTimeOffset storedBy, CancellationToken ct)
    {
        await using var session = store.QuerySession(tenant);
        var folders = await session.Query<ModelVersion>().Where(v => v.Facts.Mlflow!.Folder != null).Select(v => v.Facts.Mlflow!.Folder!).ToListAsync(ct);
        return (await database.ReadAsync(tenant,
            [
                Sql($"""
                    with gone as (
                        delete from registry.artifacts where tenant_id = $1 and path >= '{Artifacts.VersionsFolder}/' and path < '{Artifacts.VersionsFolder}0' and stored_at <= $2
                            and '{Artifacts.VersionsFolder}/' || split_part(path, '/', 2) <> all ($3) returning 1)
                    select count(*) from gone
                    """, tenant, storedBy, folders.ToArray()),
            ],
            row => row.GetInt64(0), ct, patience: Patience)).Single();
    }

    private async Task<(long Things, long Artifacts)> UntilDoneAsync(string tenant, string step, DateTimeOffset deletedBy, CancellationToken ct)
    {
        var (things, artifacts) = (0L, 0L);
        while (await CountAsync(tenant, step, deletedBy, ct) is { Things: > 0 } done) (things, artifacts) = (things + done.Things, artifacts + done.Artifacts);
        return (things, artifacts);
    }

    private async Task<(long Things, long Artifacts)> CountAsync(string tenant, string step, DateTimeOffset at, CancellationToken ct) =>
        (await database.ReadAsync(tenant, [Sql(step, tenant, at.ToUnixTimeMilliseconds())], row => (row.GetInt64(0), row.GetInt64(1)), ct, patience: Patience)).Single();
}
