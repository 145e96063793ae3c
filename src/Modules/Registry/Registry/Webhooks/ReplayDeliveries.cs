using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Webhooks;

/// <summary>Has deliveries made again, with their old ids, by which a receiver knows what it has had already.</summary>
internal static class ReplayDeliveries
{
    /// <param name="Deliveries">Which; all that were given up when nothing is said.</param>
    internal sealed record Body(IReadOnlyList<Guid>? Deliveries = null);

    internal sealed record Replayed(int Deliveries);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("webhooks/{webhook}/replay", Post).WithName(nameof(ReplayDeliveries)).Needs(Permissions.Manage).WithSummary("Make deliveries again")
            .WithDescription("A webhook that is disabled is told once it is active again.").ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Accepted<Replayed>, ProblemHttpResult>> Post(string webhook, Body body, WebhookStore webhooks, IJobs jobs, CallerScope scope, CancellationToken ct) =>
        ReplayAsync(webhooks, jobs, scope.Current.Tenant, WebhookView.IdOf(webhook), body.Deliveries, ct).ToAccepted(_ => $"/api/v1/registry/webhooks/{webhook}/deliveries");

    private static async Task<Result<Replayed>> ReplayAsync(WebhookStore webhooks, IJobs jobs, string tenant, Guid webhook, IReadOnlyList<Guid>? deliveries, CancellationToken ct)
    {
        if ((await webhooks.FindAsync(tenant, webhook, ct)).Refusal is { } missing) return missing;
        var count = await webhooks.ReplayAsync(tenant, webhook, deliveries, ct);
        jobs.Enqueue<DeliverWebhook, DeliverWebhook.Args>(tenant, new(webhook));
        return new Replayed(count);
    }
}
