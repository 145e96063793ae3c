using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;

namespace Platform.Registry.Retention;

/// <summary>Purges all that is deleted, however long ago, as <c>mlflow gc</c> does. Holds stay, and so does the grace period of content.</summary>
internal static class PurgeNow
{
    /// <param name="Run">Under which <c>GET retention</c> tells what it did.</param>
    internal sealed record Accepted(Guid Run);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("retention/purge", Post).WithName(nameof(PurgeNow)).Needs(Permissions.Manage).WithSummary("Purge all that is deleted, now")
            .WithDescription("It cannot be undone. `GET /api/v1/registry/retention` tells what it did.");

    private static Accepted<Accepted> Post(IJobs jobs, CallerScope scope)
    {
        var run = Guid.CreateVersion7();
        jobs.Enqueue<RetentionRun, RetentionRun.Args>(scope.Current.Tenant, new(run, scope.Current.Subject));
        return TypedResults.Accepted("/api/v1/registry/retention", new Accepted(run));
    }
}
