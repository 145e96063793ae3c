using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Webhooks;

/// <summary>Sends a webhook an example at once, and tells what came of it. It is neither kept nor tried again.</summary>
internal static class TestWebhook
{
    /// <param name="Event">The webhook's first when nothing is said.</param>
    internal sealed record Body(string? Event = null);

    /// <param name="Status">What the receiver answered.</param>
    /// <param name="Body">The beginning of what it said.</param>
    internal sealed record Outcome(bool Success, int? Status, string? Body, string? Error);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("webhooks/{webhook}/test", Post).WithName(nameof(TestWebhook)).Needs(Permissions.Manage).WithSummary("Test a webhook").ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<Outcome>, ProblemHttpResult>> Post(string webhook, Body body, WebhookStore webhooks, WebhookSender sender, TimeProvider time, CallerScope scope, CancellationToken ct) =>
        SendAsync(webhooks, sender, time, scope.Current.Tenant, WebhookView.IdOf(webhook), body.Event, ct).ToOk();

    internal static async Task<Result<Outcome>> SendAsync(WebhookStore webhooks, WebhookSender sender, TimeProvider time, string tenant, Guid id, string? chosen, CancellationToken ct)
    {
        var found = await webhooks.FindAsync(tenant, id, ct);
        if (found.Refusal is { } missing) return missing;
        var name = chosen ?? found.Value.Events[0];
        if (!WebhookEvents.Examples.TryGetValue(name, out var example)) return Refusal.Invalid("invalid-webhook", $"'{name}' is no event that is told of here.", "event", $"Use one of {string.Join(", ", WebhookEvents.Examples.Keys)}.");
        var outcome = await sender.SendAsync(tenant, found.Value, Guid.NewGuid(), WebhookSender.Payload(name, time.GetUtcNow(), example), ct);
        return new Outcome(outcome.IsOk, outcome.Status, outcome.Body, outcome.Error);
    }
}
