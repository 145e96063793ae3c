using System.Text.Json;
using Marten;
using Npgsql;
using Platform.Registry.Contracts;
using Platform.Registry.Models;
using Platform.Registry.Onnx;
using Platform.Registry.Tracking;
using static Platform.Registry.Tracking.TrackingDatabase;

namespace Platform.Registry.Sharing;

/// <summary>A version is open to other tenants from now on, read-only.</summary>
/// <param name="Everyone">To all tenants, also those to come.</param>
/// <param name="Tenants">To these, where not to all.</param>
internal sealed record VersionShared(int Version, bool Everyone, IReadOnlyList<string> Tenants);

/// <summary>Nobody can derive from the version any more; what was derived before goes on working.</summary>
internal sealed record VersionUnshared(int Version);

/// <summary>What of a version is published: what it takes to run it, and nothing of how it came about.</summary>
/// <param name="Columns">With the ranges and categories seen in training, which a form needs.</param>
/// <param name="Rules">They hold in what is derived from it too.</param>
internal sealed record PublishedFacts(
    ArtifactKind Kind, string ArtifactSha256, long ArtifactBytes, ModelSignature Signature, IReadOnlyList<ColumnSpec> Columns, string? PredictionOutput, ConformalTable? Calibration,
    OnnxFacts Facts, string? Description, IReadOnlyList<VersionRule>? Rules = null)
{
    public static PublishedFacts Of(ModelVersion v) => new(
        v.Facts.Kind, v.Facts.ArtifactSha256, v.Facts.ArtifactBytes, v.Facts.Signature, v.Facts.Columns, v.Facts.PredictionOutput, v.Facts.Calibration, v.Facts.Facts, v.Description, v.Facts.Rules);
}

internal sealed record Publication(string Tenant, string Model, int Version, DateTimeOffset PublishedAt, DateTimeOffset? WithdrawnAt, bool Everyone, IReadOnlyList<string> Tenants, PublishedFacts Facts);

/// <summary>The catalogue of shared versions: rows that their owner writes and the tenants they are open to may read, both by the database's own policies
/// (docs/adr/0012-shared-models.md). Written in the transaction of the events they follow from.</summary>
internal sealed class Publications(TrackingDatabase database)
{
    /// <summary>Run by the owner role.</summary>
    public const string Schema =
        """
        create table if not exists registry.publications (
            tenant_id    text    not null,  -- whose version it is
            model        text    collate "C" not null,
            version      integer not null,
            everyone     boolean not null,
            tenants      text[]  not null,
            published_at timestamptz not null,
            withdrawn_at timestamptz,
            facts        jsonb   not null,
            primary key (tenant_id, model, version)
        );

        -- One row for each version that was derived, under a number that says nothing: its owner counts, and learns nothing else.
        create table if not exists registry.derivations (
            tenant_id text    not null,  -- whose version it was derived from
            model     text    collate "C" not null,
            version   integer not null,
            mark      uuid    not null primary key
        );
        create index if not exists derivations_by_version on registry.derivations (tenant_id, model, version);

        alter table registry.publications enable row level security;
        drop policy if exists owner on registry.publications;
        create policy owner on registry.publications using (tenant_id = current_setting('app.tenant_id', true));
        drop policy if exists reader on registry.publications;
        create policy reader on registry.publications for select
            using (withdrawn_at is null and (everyone or current_setting('app.tenant_id', true) = any (tenants)));
        grant select, insert, update on registry.publications to platform_app;

        alter table registry.derivations enable row level security;
        drop policy if exists owner on registry.derivations;
        create policy owner on registry.derivations for select using (tenant_id = current_setting('app.tenant_id', true));
        -- Whoever can see a publication may leave a mark on it, and on nothing else.
        drop policy if exists deriver on registry.derivations;
        create policy deriver on registry.derivations for insert with check (exists (
            select 1 from registry.publications p
            where p.tenant_id = derivations.tenant_id and p.model = derivations.model and p.version = derivations.version and p.withdrawn_at is null));
        grant select, insert on registry.derivations to platform_app;
        """;

    private const string Columns = "tenant_id, model, version, published_at, withdrawn_at, everyone, tenants, facts::text";

    /// <summary>With the event, in one transaction.</summary>
    public static void Publish(IDocumentOperations operations, string tenant, string model, VersionShared shared, PublishedFacts facts, DateTimeOffset at) => operations.QueueSqlCommand(
        """
        insert into registry.publications (tenant_id, model, version, everyone, tenants, published_at, facts) values (?, ?, ?, ?, ?, ?, ?::jsonb)
        on conflict (tenant_id, model, version) do update set everyone = excluded.everyone, tenants = excluded.tenants, published_at = excluded.published_at, withdrawn_at = null, facts = excluded.facts
        """, tenant, model, shared.Version, shared.Everyone, shared.Tenants.ToArray(), at, JsonSerializer.Serialize(facts));

    /// <param name="version">Null for all of the model's.</param>
    public static void Withdraw(IDocumentOperations operations, string tenant, string model, int? version, DateTimeOffset at)
    {
        if (version is { } one) operations.QueueSqlCommand("update registry.publications set withdrawn_at = ? where tenant_id = ? and model = ? and version = ? and withdrawn_at is null", at, tenant, model, one);
        else operations.QueueSqlCommand("update registry.publications set withdrawn_at = ? where tenant_id = ? and model = ? and withdrawn_at is null", at, tenant, model);
    }

    /// <summary>Marks that a version was derived, in the transaction that adds it. The database refuses it when the publication is withdrawn by then.</summary>
    public static void Mark(IDocumentSession session, Publication from) =>
        session.QueueSqlCommand("insert into registry.derivations (tenant_id, model, version, mark) values (?, ?, ?, ?)", from.Tenant, from.Model, from.Version, Guid.NewGuid());

    /// <summary>Whether saving failed because the publication was withdrawn meanwhile.</summary>
    public static bool IsWithdrawn(Exception failure)
    {
        for (var cause = failure; cause is not null; cause = cause.InnerException)
        {
            if (cause is PostgresException { SqlState: PostgresErrorCodes.InsufficientPrivilege, MessageText: var text } && text.Contains("derivations", StringComparison.Ordinal)) return true;
        }

        return false;
    }

    /// <summary>What others share with the tenant.</summary>
    public Task<List<Publication>> ListAsync(string tenant, CancellationToken ct) => database.ReadAsync(tenant,
        [Sql($"select {Columns} from registry.publications where withdrawn_at is null and tenant_id <> $1 order by tenant_id, model, version limit 1000", tenant)], Read, ct);

    /// <summary>One that the tenant may derive from: shared with it, or its own.</summary>
    public async Task<Publication?> FindAsync(string tenant, string owner, string model, int version, CancellationToken ct) => (await database.ReadAsync(tenant,
        [Sql($"select {Columns} from registry.publications where tenant_id = $1 and model = $2 and version = $3 and withdrawn_at is null", owner, model, version)], Read, ct)).SingleOrDefault();

    /// <summary>The tenant's own, withdrawn or not, with how many versions were derived from it.</summary>
    public async Task<(Publication Publication, long Derived)?> FindOwnAsync(string tenant, string model, int version, CancellationToken ct)
    {
        var found = await database.ReadAsync<(Publication, long)?>(tenant,
            [Sql($"select {Columns}, (select count(*) from registry.derivations d where d.tenant_id = $1 and d.model = $2 and d.version = $3) from registry.publications where tenant_id = $1 and model = $2 and version = $3", tenant, model, version)],
            row => (Read(row), row.GetInt64(8)), ct);
        return found.SingleOrDefault();
    }

    private static Publication Read(NpgsqlDataReader row) => new(
        row.GetString(0), row.GetString(1), row.GetInt32(2), row.GetFieldValue<DateTimeOffset>(3), row.IsDBNull(4) ? null : row.GetFieldValue<DateTimeOffset>(4), row.GetBoolean(5),
        row.GetFieldValue<string[]>(6), JsonSerializer.Deserialize<PublishedFacts>(row.GetString(7))!);
}
