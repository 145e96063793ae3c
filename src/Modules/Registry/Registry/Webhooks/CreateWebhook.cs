using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Webhooks;

/// <summary>Has an address called whenever something of the chosen kinds happens in the registry.</summary>
internal static class CreateWebhook
{
    /// <param name="Url">Public, and https.</param>
    /// <param name="Events">Such as <c>model_version.created</c>.</param>
    /// <param name="Secret">What requests are signed with; kept sealed and never shown.</param>
    internal sealed record Body(string Name, string Url, IReadOnlyList<string> Events, string? Description = null, string? Secret = null, bool Active = true);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("webhooks", Post).WithName(nameof(CreateWebhook)).Needs(Permissions.Manage).WithSummary("Create a webhook")
            .WithDescription($"Events: {string.Join(", ", WebhookEvents.Examples.Keys)}. Deliveries are made at least once and in their order, tried again for some 14 hours, and can be replayed.");

    private static Task<Results<Created<WebhookView>, ProblemHttpResult>> Post(Body body, WebhookStore webhooks, CallerScope scope, CancellationToken ct) =>
        WebhookView.Of(webhooks.CreateAsync(scope.Current.Tenant, new(body.Name, body.Description, body.Url, body.Events, body.Secret, body.Active), ct)).ToCreated(w => $"/api/v1/registry/webhooks/{w.Id}");
}
