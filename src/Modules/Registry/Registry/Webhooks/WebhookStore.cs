using Npgsql;
using Platform.Kernel;
using Platform.Registry.Tracking;
using static Platform.Registry.Tracking.TrackingDatabase;

namespace Platform.Registry.Webhooks;

/// <summary>A tenant's webhooks and their deliveries, as rows.</summary>
internal sealed class WebhookStore(TrackingDatabase database, WebhookRules rules, WebhookSecrets secrets, TimeProvider time)
{
    private const string Columns =
        "webhook_id, name, description, url, events, secret, active, disabled_because, created_at, updated_at, (select count(*) from registry.webhook_deliveries d where d.tenant_id = $1 and d.webhook_id = w.webhook_id and d.state = 'PENDING')";

    private const string DeliveryColumns = "delivery_id, webhook_id, sequence, event, payload, occurred_at, state, attempts, due_at, last_attempt_at, last_status, last_error";

    public async Task<Result<Webhook>> CreateAsync(string tenant, WebhookChange wanted, CancellationToken ct)
    {
        if (wanted is { Name: null } or { Url: null } or { Events: null }) return Refusal.Invalid("invalid-webhook", "A webhook has a name, a URL and events.", wanted.Name is null ? "name" : wanted.Url is null ? "url" : "events", "Send all three.");
        if (rules.Judge(wanted) is { } refusal) return refusal;
        var id = Guid.CreateVersion7(time.GetUtcNow());
        var secret = wanted.Secret is { Length: > 0 } given ? await secrets.SealAsync(tenant, id, given, ct) : null;
        return await database.RunAsync<Webhook>(tenant,
            [
                Sql($"""
                    insert into registry.webhooks as w (tenant_id, webhook_id, name, description, url, events, secret, active, created_at, updated_at)
                    select $1, $2, $3, $4, $5, $6, $7::bytea, $8, $9, $9 where (select count(*) from registry.webhooks where tenant_id = $1) < {WebhookRules.MostOfTenant}
                    returning {Columns}
                    """, tenant, id, wanted.Name, wanted.Description, wanted.Url, wanted.Events.Distinct().ToArray(), secret ?? (object)DBNull.Value, wanted.Active ?? true, Now),
            ],
            async reader => await reader.ReadAsync(ct) ? Read(reader)
                : Refusal.Conflict("too-many-webhooks", $"There are {WebhookRules.MostOfTenant} webhooks already, which is the most.", null, "Delete one that is not needed."), ct);
    }

    public Task<List<Webhook>> ListAsync(string tenant, CancellationToken ct) =>
        database.ReadAsync(tenant, [Sql($"select {Columns} from registry.webhooks w where tenant_id = $1 order by created_at, webhook_id", tenant)], Read, ct);

    public async Task<Result<Webhook>> FindAsync(string tenant, Guid id, CancellationToken ct) =>
        (await database.ReadAsync(tenant, [Sql($"select {Columns} from registry.webhooks w where tenant_id = $1 and webhook_id = $2", tenant, id)], Read, ct)) is [var found] ? found : Missing(id.ToString());

    /// <summary>Being active again clears the reason why it was not.</summary>
    public async Task<Result<Webhook>> ChangeAsync(string tenant, Guid id, WebhookChange change, CancellationToken ct)
    {
        if (rules.Judge(change) is { } refusal) return refusal;
        var secret = change.Secret is { Length: > 0 } given ? await secrets.SealAsync(tenant, id, given, ct) : null;
        return await database.RunAsync<Webhook>(tenant,
            [
                Sql($"""
                    update registry.webhooks w set name = coalesce($3, name), description = coalesce($4, description), url = coalesce($5, url), events = coalesce($6::text[], events),
                        secret = case when $7 then null else coalesce($8::bytea, secret) end, active = coalesce($9::boolean, active),
                        disabled_because = case when $9::boolean is null then disabled_because end, wake_at = null, updated_at = $10
                    where tenant_id = $1 and webhook_id = $2 returning {Columns}
                    """, tenant, id, change.Name, change.Description, change.Url, change.Events?.Distinct().ToArray() ?? (object)DBNull.Value, change.Secret is "", secret ?? (object)DBNull.Value,
                    change.Active ?? (object)DBNull.Value, Now),
            ],
            async reader => await reader.ReadAsync(ct) ? Read(reader) : Missing(id.ToString()), ct);
    }

    /// <summary>Takes away the webhook and the history of its deliveries.</summary>
    public Task<Result<Done>> DeleteAsync(string tenant, Guid id, CancellationToken ct) => database.RunAsync<Done>(tenant,
        [
            Sql("delete from registry.webhooks where tenant_id = $1 and webhook_id = $2 returning 1", tenant, id),
            Sql("delete from registry.webhook_deliveries where tenant_id = $1 and webhook_id = $2", tenant, id),
        ],
        async reader => await reader.ReadAsync(ct) ? Done.Value : Missing(id.ToString()), ct);

    /// <summary>Notes what is to be sent. What was noted before is not noted again.</summary>
    public Task QueueAsync(string tenant, IReadOnlyList<Delivery> deliveries, CancellationToken ct) => database.RunAsync<Done>(tenant,
        [
            Sql("""
                insert into registry.webhook_deliveries (tenant_id, delivery_id, webhook_id, sequence, event, payload, occurred_at, state, due_at)
                select $1, d.id, d.webhook, d.sequence, d.event, d.payload, d.occurred, 'PENDING', d.occurred
                from unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::bigint[]) d (id, webhook, sequence, event, payload, occurred)
                on conflict do nothing
                """, tenant, Each(deliveries, d => d.Id), Each(deliveries, d => d.Webhook), Each(deliveries, d => d.Sequence), Each(deliveries, d => d.Event), Each(deliveries, d => d.Payload),
                Each(deliveries, d => d.OccurredAt)),
        ],
        _ => Task.FromResult<Result<Done>>(Done.Value), ct);

    /// <summary>Takes the oldest delivery that is still to be made, when it is due and the webhook active. Nobody else gets it until the time is over: whoever holds it
    /// may be killed, and then it is due again.</summary>
    public async Task<Delivery?> ClaimAsync(string tenant, Guid webhook, TimeSpan hold, CancellationToken ct) => (await database.ReadAsync(tenant,
        [
            Sql($"""
                update registry.webhook_deliveries set attempts = attempts + 1, last_attempt_at = $3, due_at = $4
                where tenant_id = $1 and due_at <= $3 and delivery_id = (
                    select d.delivery_id from registry.webhook_deliveries d join registry.webhooks w on w.tenant_id = $1 and w.webhook_id = d.webhook_id and w.active
                    where d.tenant_id = $1 and d.webhook_id = $2 and d.state = 'PENDING' order by d.sequence limit 1 for update of d)
                returning {DeliveryColumns}
                """, tenant, webhook, Now, Now + (long)hold.TotalMilliseconds),
        ],
        ReadDelivery, ct)).SingleOrDefault();

    /// <summary>When the oldest delivery is due, if a job has yet to be told to look then; null when there is none, or a job will.</summary>
    public async Task<DateTimeOffset?> NextAsync(string tenant, Guid webhook, CancellationToken ct) => (await database.ReadAsync(tenant,
        [
            Sql("""
                select d.due_at from registry.webhooks w cross join lateral (
                    select due_at from registry.webhook_deliveries where tenant_id = $1 and webhook_id = $2 and state = 'PENDING' order by sequence limit 1) d
                where w.tenant_id = $1 and w.webhook_id = $2 and w.active and (w.wake_at is null or w.wake_at <= $3 or w.wake_at > d.due_at)
                """, tenant, webhook, Now),
        ],
        row => (DateTimeOffset?)DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(0)), ct)).SingleOrDefault();

    public Task WillWakeAsync(string tenant, Guid webhook, DateTimeOffset at, CancellationToken ct) => database.RunAsync<Done>(tenant,
        [Sql("update registry.webhooks set wake_at = $3 where tenant_id = $1 and webhook_id = $2", tenant, webhook, at.ToUnixTimeMilliseconds())], _ => Task.FromResult<Result<Done>>(Done.Value), ct);

    public Task DeliveredAsync(string tenant, Delivery delivery, int status, CancellationToken ct) => database.RunAsync<Done>(tenant,
        [Sql("update registry.webhook_deliveries set state = 'DELIVERED', last_status = $3, last_error = null where tenant_id = $1 and delivery_id = $2", tenant, delivery.Id, status)],
        _ => Task.FromResult<Result<Done>>(Done.Value), ct);

    /// <param name="again">When it is tried again; null gives it up and disables the webhook, because what follows would fare no better.</param>
    public Task NotDeliveredAsync(string tenant, Delivery delivery, int? status, string why, DateTimeOffset? again, CancellationToken ct) => database.RunAsync<Done>(tenant,
        [
            Sql("""
                update registry.webhook_deliveries set state = case when $5::bigint is null then 'FAILED' else 'PENDING' end, due_at = coalesce($5::bigint, due_at), last_status = $3::int, last_error = $4
                where tenant_id = $1 and delivery_id = $2
                """, tenant, delivery.Id, status ?? (object)DBNull.Value, why, again?.ToUnixTimeMilliseconds() ?? (object)DBNull.Value),
            Sql("update registry.webhooks set active = false, disabled_because = $3, updated_at = $4 where tenant_id = $1 and webhook_id = $2 and $5",
                tenant, delivery.Webhook, $"The delivery {delivery.Id} of {delivery.Event} has failed {delivery.Attempts} times, at last with: {why}", Now, again is null),
        ],
        _ => Task.FromResult<Result<Done>>(Done.Value), ct);

    /// <summary>Deliveries of a webhook, the newest first.</summary>
    /// <param name="before">Only those before this one in the order of what happened.</param>
    public Task<List<Delivery>> DeliveriesAsync(string tenant, Guid webhook, string? state, long? before, int most, CancellationToken ct) => database.ReadAsync(tenant,
        [
            Sql($"""
                select {DeliveryColumns} from registry.webhook_deliveries where tenant_id = $1 and webhook_id = $2 and ($3::text is null or state = $3) and sequence < $4
                order by sequence desc limit $5
                """, tenant, webhook, state, before ?? long.MaxValue, most),
        ],
        ReadDelivery, ct);

    /// <summary>Has deliveries made again, under their old ids: those named, or all that were given up.</summary>
    /// <returns>How many.</returns>
    public async Task<int> ReplayAsync(string tenant, Guid webhook, IReadOnlyList<Guid>? deliveries, CancellationToken ct) => (await database.ReadAsync(tenant,
        [
            Sql("""
                update registry.webhook_deliveries set state = 'PENDING', attempts = 0, due_at = $4
                where tenant_id = $1 and webhook_id = $2 and (delivery_id = any ($3::uuid[]) or ($3::uuid[] is null and state = 'FAILED')) returning 1
                """, tenant, webhook, deliveries?.ToArray() ?? (object)DBNull.Value, Now),
        ],
        _ => 1, ct)).Count;

    /// <summary>Webhooks that have something to send, for when a job that should have was lost.</summary>
    public Task<List<Guid>> WithPendingAsync(string tenant, CancellationToken ct) => database.ReadAsync(tenant,
        [Sql("select webhook_id from registry.webhooks w where tenant_id = $1 and active and exists (select from registry.webhook_deliveries d where d.tenant_id = $1 and d.webhook_id = w.webhook_id and d.state = 'PENDING')", tenant)],
        row => row.GetGuid(0), ct);

    /// <summary>Forgets deliveries that were made or given up before the moment.</summary>
    public async Task<long> ForgetAsync(string tenant, DateTimeOffset before, CancellationToken ct) => (await database.ReadAsync(tenant,
        [Sql("with gone as (delete from registry.webhook_deliveries where tenant_id = $1 and state <> 'PENDING' and occurred_at < $2 returning 1) select count(*) from gone", tenant, before.ToUnixTimeMilliseconds())],
        row => row.GetInt64(0), ct)).Single();

    public static Refusal Missing(string id) => Refusal.NotFound("webhook", id);

    private long Now => time.GetUtcNow().ToUnixTimeMilliseconds();

    private static T[] Each<T>(IReadOnlyList<Delivery> deliveries, Func<Delivery, T> of) => [.. deliveries.Select(of)];

    private static Webhook Read(NpgsqlDataReader row) => new(
        row.GetGuid(0), row.GetString(1), row.IsDBNull(2) ? null : row.GetString(2), row.GetString(3), row.GetFieldValue<string[]>(4), row.IsDBNull(5) ? null : row.GetFieldValue<byte[]>(5), row.GetBoolean(6),
        row.IsDBNull(7) ? null : row.GetString(7), row.GetInt64(8), row.GetInt64(9), row.GetInt64(10));

    private static Delivery ReadDelivery(NpgsqlDataReader row) => new(
        row.GetGuid(0), row.GetGuid(1), row.GetInt64(2), row.GetString(3), row.GetString(4), row.GetInt64(5), row.GetString(6), row.GetInt32(7), row.GetInt64(8), row.IsDBNull(9) ? null : row.GetInt64(9),
        row.IsDBNull(10) ? null : row.GetInt32(10), row.IsDBNull(11) ? null : row.GetString(11));
}
