using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using JasperFx.Events;
using Marten;
using MediatR;
using Platform.Kernel;
using Platform.Registry.Models;

namespace Platform.Registry.Webhooks;

/// <summary>An event of the registry's that was committed, for the registry itself.</summary>
internal sealed record RegistryEventCommitted(IEvent Event) : INotification;

/// <summary>Notes for each webhook that hears of it what has happened, and has it sent. The same event again notes nothing new.</summary>
internal sealed class QueueDeliveries(WebhookStore webhooks, IQuerySession session, IJobs jobs) : INotificationHandler<RegistryEventCommitted>
{
    private const int MostOfEvent = 1_024;

    public static bool Concerns(IEvent committed) => committed.Data is ModelRegistered or VersionAdded { AddedAt: null } or VersionTagsChanged or ModelAliasMoved or ModelAliasRemoved;

    public async Task Handle(RegistryEventCommitted committed, CancellationToken ct)
    {
        var happened = committed.Event;
        var active = (await webhooks.ListAsync(happened.TenantId, ct)).Where(w => w.Active).ToArray();
        if (active.Length == 0) return;
        var told = await TellAsync(happened, ct);
        var deliveries = (
            from webhook in active
            from tale in told.Take(MostOfEvent).Select((t, i) => (t.Name, t.Data, Number: i))
            where webhook.Events.Contains(tale.Name)
            select new Delivery(Id(webhook.Id, happened.Id, tale.Number), webhook.Id, (happened.Sequence * MostOfEvent) + tale.Number, tale.Name,
                WebhookSender.Payload(tale.Name, happened.Timestamp, tale.Data), happened.Timestamp.ToUnixTimeMilliseconds(), "PENDING", 0, 0, null, null, null)).ToArray();
        if (deliveries.Length == 0) return;
        await webhooks.QueueAsync(happened.TenantId, deliveries, ct);
        foreach (var webhook in deliveries.Select(d => d.Webhook).Distinct()) jobs.Enqueue<DeliverWebhook, DeliverWebhook.Args>(happened.TenantId, new(webhook));
    }

    /// <summary>What happened, in MLflow's words.</summary>
    private async Task<IReadOnlyList<(string Name, object Data)>> TellAsync(IEvent happened, CancellationToken ct)
    {
        var model = happened.StreamKey!["model:".Length..];
        switch (happened.Data)
        {
            case ModelRegistered registered:
                // Its first tags are an event of their own, saved with it.
                var next = await session.Events.FetchStreamAsync(happened.StreamKey!, happened.Version + 1, fromVersion: happened.Version + 1, token: ct);
                var tags = next is [{ Data: ModelTagsChanged first } tagged, ..] && tagged.Timestamp == happened.Timestamp ? first.Tags : new Dictionary<string, string>();
                return [(WebhookEvents.ModelCreated, new WebhookEvents.ModelCreatedData(model, tags, registered.Description))];
            case VersionAdded added:
                return [(WebhookEvents.VersionCreated, new WebhookEvents.VersionCreatedData(model, Number(added.Version), added.Mlflow?.Source ?? $"platform:/models/{model}/versions/{added.Version}",
                    added.Mlflow?.RunId, added.Tags ?? new Dictionary<string, string>(), added.Description))];
            case VersionTagsChanged changed:
                return await TagsAsync(model, changed, happened, ct);
            case ModelAliasMoved moved:
                return [(WebhookEvents.AliasCreated, new WebhookEvents.AliasCreatedData(model, moved.Alias, Number(moved.Version)))];
            case ModelAliasRemoved removed:
                return [(WebhookEvents.AliasDeleted, new WebhookEvents.AliasDeletedData(model, removed.Alias))];
            default:
                return [];
        }
    }

    /// <summary>The event holds all tags of the version; what is new in it is found by looking at what was there before.</summary>
    private async Task<IReadOnlyList<(string Name, object Data)>> TagsAsync(string model, VersionTagsChanged changed, IEvent happened, CancellationToken ct)
    {
        IReadOnlyDictionary<string, string> before = new Dictionary<string, string>();
        if (happened.Version > 1)
        {
            foreach (var earlier in await session.Events.FetchStreamAsync(happened.StreamKey!, happened.Version - 1, token: ct))
            {
                before = earlier.Data switch
                {
                    VersionAdded added when added.Version == changed.Version => added.Tags ?? new Dictionary<string, string>(),
                    VersionTagsChanged tagged when tagged.Version == changed.Version => tagged.Tags,
                    _ => before,
                };
            }
        }

        var version = Number(changed.Version);
        return
        [
            .. changed.Tags.Where(t => before.GetValueOrDefault(t.Key) != t.Value).OrderBy(t => t.Key, StringComparer.Ordinal)
                .Select(t => (WebhookEvents.VersionTagSet, (object)new WebhookEvents.VersionTagSetData(model, version, t.Key, t.Value))),
            .. before.Keys.Where(key => !changed.Tags.ContainsKey(key)).Order(StringComparer.Ordinal).Select(key => (WebhookEvents.VersionTagDeleted, (object)new WebhookEvents.VersionTagDeletedData(model, version, key))),
        ];
    }

    private static string Number(int version) => version.ToString(CultureInfo.InvariantCulture);

    private static Guid Id(Guid webhook, Guid happened, int number) => new(SHA256.HashData(Encoding.UTF8.GetBytes($"{webhook:N}{happened:N}{number}")).AsSpan(0, 16));
}
