using Npgsql;
using Platform.Kernel;
using Platform.Registry.Tracking;
using static Platform.Registry.Tracking.TrackingDatabase;

namespace Platform.Registry.Retention;

/// <param name="PurgeAfterDays">Days after which what was deleted is purged; null never purges by itself.</param>
/// <param name="GraceHours">Hours for which content that nobody names is kept, so that nobody who is about to name it finds it gone.</param>
internal sealed record RetentionRules(int? PurgeAfterDays, int GraceHours)
{
    public static readonly RetentionRules Default = new(30, 24);
}

/// <param name="Kind"><c>experiment</c>, with its number for a name, or <c>model</c>.</param>
internal sealed record LegalHold(string Kind, string Name, string Reason, string HeldBy, DateTimeOffset HeldAt);

/// <summary>What one look did.</summary>
/// <param name="AskedBy">Null when it was its time.</param>
/// <param name="Blobs">Contents that nobody named any more, and what nobody finished uploading.</param>
/// <param name="BytesFreed">On disk.</param>
/// <param name="BlobsWaiting">Contents that nobody names and whose grace period is not over.</param>
internal sealed record RetentionReport(
    Guid Id, string? AskedBy, DateTimeOffset StartedAt, DateTimeOffset? EndedAt, string? Failure, long Experiments, long Runs, long LoggedModels, long Artifacts, long Blobs, long BytesFreed, long BlobsWaiting);

/// <summary>A tenant's rules, holds and reports.</summary>
internal sealed class RetentionStore(TrackingDatabase database, TimeProvider time)
{
    private const int Shown = 20;

    public async Task<RetentionRules> RulesAsync(string tenant, CancellationToken ct) =>
        (await database.ReadAsync(tenant, [Sql("select purge_days, grace_hours from registry.retention where tenant_id = $1", tenant)],
            row => new RetentionRules(row.IsDBNull(0) ? null : row.GetInt32(0), row.GetInt32(1)), ct)).SingleOrDefault() ?? RetentionRules.Default;

    public Task SetRulesAsync(string tenant, RetentionRules rules, CancellationToken ct) => DoAsync(tenant, Sql(
        "insert into registry.retention (tenant_id, purge_days, grace_hours) values ($1, $2::int, $3) on conflict (tenant_id) do update set purge_days = excluded.purge_days, grace_hours = excluded.grace_hours",
        tenant, rules.PurgeAfterDays ?? (object)DBNull.Value, rules.GraceHours), ct);

    public Task<List<LegalHold>> HoldsAsync(string tenant, CancellationToken ct) => database.ReadAsync(tenant,
        [Sql("select kind, name, reason, held_by, held_at from registry.legal_holds where tenant_id = $1 order by kind, name", tenant)],
        row => new LegalHold(row.GetString(0), row.GetString(1), row.GetString(2), row.GetString(3), DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(4))), ct);

    /// <summary>Why a model may not be deleted; null when nobody holds it.</summary>
    public async Task<Refusal?> HeldAsync(string tenant, string model, CancellationToken ct) => (await HoldsAsync(tenant, ct)).FirstOrDefault(h => h.Kind == "model" && h.Name == model) is { } hold
        ? Refusal.Conflict("legal-hold", $"'{model}' is under legal hold: {hold.Reason}", "name", "Have an administrator of the tenant lift the hold first.") : null;

    public Task HoldAsync(string tenant, LegalHold hold, CancellationToken ct) => DoAsync(tenant, Sql(
        "insert into registry.legal_holds (tenant_id, kind, name, reason, held_by, held_at) values ($1, $2, $3, $4, $5, $6) on conflict (tenant_id, kind, name) do update set reason = excluded.reason, held_by = excluded.held_by",
        tenant, hold.Kind, hold.Name, hold.Reason, hold.HeldBy, hold.HeldAt.ToUnixTimeMilliseconds()), ct);

    public Task<Result<Done>> LiftAsync(string tenant, string kind, string name, CancellationToken ct) => database.RunAsync<Done>(tenant,
        [Sql("delete from registry.legal_holds where tenant_id = $1 and kind = $2 and name = $3 returning 1", tenant, kind, name)],
        async reader => await reader.ReadAsync(ct) ? Done.Value : Refusal.NotFound("legal hold", $"{kind}/{name}"), ct);

    public Task<List<RetentionReport>> ReportsAsync(string tenant, CancellationToken ct) => database.ReadAsync(tenant,
        [
            Sql($"""
                select run_id, asked_by, started_at, ended_at, failure, experiments, runs, logged_models, artifacts, blobs, bytes, waiting from registry.retention_runs
                where tenant_id = $1 order by started_at desc, run_id limit {Shown}
                """, tenant),
        ],
        row => new RetentionReport(row.GetGuid(0), row.IsDBNull(1) ? null : row.GetString(1), DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(2)),
            row.IsDBNull(3) ? null : DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(3)), row.IsDBNull(4) ? null : row.GetString(4), row.GetInt64(5), row.GetInt64(6), row.GetInt64(7), row.GetInt64(8),
            row.GetInt64(9), row.GetInt64(10), row.GetInt64(11)), ct);

    /// <summary>Notes the report; the same id again brings it up to date. Old ones are forgotten.</summary>
    public Task ReportAsync(string tenant, RetentionReport r, CancellationToken ct) => DoAsync(tenant, Sql($"""
        with forgotten as (delete from registry.retention_runs where tenant_id = $1 and run_id in (select run_id from registry.retention_runs where tenant_id = $1 order by started_at desc offset {Shown * 5}))
        insert into registry.retention_runs (tenant_id, run_id, asked_by, started_at, ended_at, failure, experiments, runs, logged_models, artifacts, blobs, bytes, waiting)
        values ($1, $2, $3, $4, $5::bigint, $6, $7, $8, $9, $10, $11, $12, $13)
        on conflict (tenant_id, run_id) do update set ended_at = excluded.ended_at, failure = excluded.failure, experiments = excluded.experiments, runs = excluded.runs, logged_models = excluded.logged_models,
            artifacts = excluded.artifacts, blobs = excluded.blobs, bytes = excluded.bytes, waiting = excluded.waiting
        """, tenant, r.Id, r.AskedBy, r.StartedAt.ToUnixTimeMilliseconds(), r.EndedAt?.ToUnixTimeMilliseconds() ?? (object)DBNull.Value, r.Failure, r.Experiments, r.Runs, r.LoggedModels, r.Artifacts, r.Blobs, r.BytesFreed,
        r.BlobsWaiting), ct);

    public DateTimeOffset Now => time.GetUtcNow();

    private Task<Result<Done>> DoAsync(string tenant, NpgsqlBatchCommand statement, CancellationToken ct) => database.RunAsync<Done>(tenant, [statement], _ => Task.FromResult<Result<Done>>(Done.Value), ct);
}
