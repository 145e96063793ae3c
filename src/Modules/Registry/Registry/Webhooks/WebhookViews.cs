using System.Text.Json;
using Platform.Kernel;

namespace Platform.Registry.Webhooks;

/// <param name="DisabledBecause">Why the platform has disabled it.</param>
/// <param name="Signed">Whether it has a secret, which is never shown again.</param>
/// <param name="Waiting">Deliveries still to be made.</param>
internal sealed record WebhookView(
    Guid Id, string Name, string? Description, string Url, IReadOnlyList<string> Events, bool Active, string? DisabledBecause, bool Signed, long Waiting, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt)
{
    public static WebhookView Of(Webhook w) => new(
        w.Id, w.Name, w.Description, w.Url, w.Events, w.Active, w.DisabledBecause, w.Secret is not null, w.Waiting, DateTimeOffset.FromUnixTimeMilliseconds(w.CreatedAt), DateTimeOffset.FromUnixTimeMilliseconds(w.UpdatedAt));

    public static async Task<Result<WebhookView>> Of(Task<Result<Webhook>> webhook) => (await webhook) is var result && result.Refusal is { } refusal ? refusal : Of(result.Value);

    /// <summary>The id in an address. One that is none is told like one that is not there.</summary>
    public static Guid IdOf(string given) => Guid.TryParse(given, out var id) ? id : Guid.Empty;
}

/// <param name="State"><c>pending</c>, <c>delivered</c> or <c>failed</c>: given up.</param>
/// <param name="DueAt">When it is tried next, while it is pending.</param>
/// <param name="LastStatus">What the receiver answered to the last try.</param>
internal sealed record DeliveryView(
    Guid Id, string Event, string State, int Attempts, DateTimeOffset OccurredAt, DateTimeOffset? LastAttemptAt, DateTimeOffset? DueAt, int? LastStatus, string? LastError, JsonElement Payload)
{
    public static DeliveryView Of(Delivery d) => new(
        d.Id, d.Event, d.State.ToLowerInvariant(), d.Attempts, DateTimeOffset.FromUnixTimeMilliseconds(d.OccurredAt), d.LastAttemptAt is { } tried ? DateTimeOffset.FromUnixTimeMilliseconds(tried) : null,
        d.State == "PENDING" ? DateTimeOffset.FromUnixTimeMilliseconds(d.DueAt) : null, d.LastStatus, d.LastError, JsonSerializer.Deserialize<JsonElement>(d.Payload));
}
