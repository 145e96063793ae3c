using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Webhooks;

/// <summary>Changes what is given of a webhook. Made active again, it is told first what it has missed since it was disabled for failing.</summary>
internal static class UpdateWebhook
{
    /// <param name="Secret">Empty takes it away.</param>
    internal sealed record Body(string? Name = null, string? Url = null, IReadOnlyList<string>? Events = null, string? Description = null, string? Secret = null, bool? Active = null);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPatch("webhooks/{webhook}", Patch).WithName(nameof(UpdateWebhook)).Needs(Permissions.Manage).WithSummary("Change a webhook").ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<WebhookView>, ProblemHttpResult>> Patch(string webhook, Body body, WebhookStore webhooks, IJobs jobs, CallerScope scope, CancellationToken ct) =>
        WebhookView.Of(ChangeAsync(webhooks, jobs, scope.Current.Tenant, WebhookView.IdOf(webhook), new(body.Name, body.Description, body.Url, body.Events, body.Secret, body.Active), ct)).ToOk();

    internal static async Task<Result<Webhook>> ChangeAsync(WebhookStore webhooks, IJobs jobs, string tenant, Guid webhook, WebhookChange change, CancellationToken ct)
    {
        var changed = await webhooks.ChangeAsync(tenant, webhook, change, ct);
        if (changed.ValueOrDefault is { Active: true, Waiting: > 0 }) jobs.Enqueue<DeliverWebhook, DeliverWebhook.Args>(tenant, new(webhook));
        return changed;
    }
}
