using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Webhooks;

/// <summary>One webhook, and how much it has still to be told.</summary>
internal static class GetWebhook
{
    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("webhooks/{webhook}", Get).WithName(nameof(GetWebhook)).Needs(Permissions.Manage).WithSummary("Get a webhook").ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<WebhookView>, ProblemHttpResult>> Get(string webhook, WebhookStore webhooks, CallerScope scope, CancellationToken ct) =>
        WebhookView.Of(webhooks.FindAsync(scope.Current.Tenant, WebhookView.IdOf(webhook), ct)).ToOk();
}
