using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Webhooks;

/// <summary>Takes a webhook away, with what was still to be sent and the history of what was.</summary>
internal static class DeleteWebhook
{
    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapDelete("webhooks/{webhook}", Delete).WithName(nameof(DeleteWebhook)).Needs(Permissions.Manage).WithSummary("Delete a webhook").ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<NoContent, ProblemHttpResult>> Delete(string webhook, WebhookStore webhooks, CallerScope scope, CancellationToken ct) =>
        webhooks.DeleteAsync(scope.Current.Tenant, WebhookView.IdOf(webhook), ct).ToNoContent();
}
