using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;

namespace Platform.Registry.Webhooks;

/// <summary>The tenant's webhooks, the oldest first.</summary>
internal static class ListWebhooks
{
    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("webhooks", Get).WithName(nameof(ListWebhooks)).Needs(Permissions.Manage).WithSummary("List webhooks");

    private static async Task<Ok<IReadOnlyList<WebhookView>>> Get(WebhookStore webhooks, CallerScope scope, CancellationToken ct) =>
        TypedResults.Ok<IReadOnlyList<WebhookView>>([.. (await webhooks.ListAsync(scope.Current.Tenant, ct)).Select(WebhookView.Of)]);
}
