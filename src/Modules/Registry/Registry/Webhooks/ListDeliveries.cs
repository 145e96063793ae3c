using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Webhooks;

/// <summary>What a webhook was told and is to be told, the newest first; kept for 30 days.</summary>
internal static class ListDeliveries
{
    private const int Most = 200;

    /// <param name="Before">For the next page; null after the last.</param>
    internal sealed record Page(IReadOnlyList<DeliveryView> Deliveries, long? Before);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("webhooks/{webhook}/deliveries", Get).WithName(nameof(ListDeliveries)).Needs(Permissions.Manage).WithSummary("List a webhook's deliveries")
            .WithDescription("`state` is pending, delivered or failed.").ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<Page>, ProblemHttpResult>> Get(string webhook, string? state, long? before, WebhookStore webhooks, CallerScope scope, CancellationToken ct) =>
        ReadAsync(webhooks, scope.Current.Tenant, WebhookView.IdOf(webhook), state, before, ct).ToOk();

    private static async Task<Result<Page>> ReadAsync(WebhookStore webhooks, string tenant, Guid webhook, string? state, long? before, CancellationToken ct)
    {
        if (state is not (null or "pending" or "delivered" or "failed")) return Refusal.Invalid("unknown-state", $"'{state}' is no state of a delivery.", "state", "Use pending, delivered or failed.");
        if ((await webhooks.FindAsync(tenant, webhook, ct)).Refusal is { } missing) return missing;
        var deliveries = await webhooks.DeliveriesAsync(tenant, webhook, state?.ToUpperInvariant(), before, Most, ct);
        return new Page([.. deliveries.Select(DeliveryView.Of)], deliveries.Count == Most ? deliveries[^1].Sequence : null);
    }
}
