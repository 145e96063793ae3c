using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Retention;

/// <summary>Lifts a legal hold; what was deleted meanwhile is purged at the next look.</summary>
internal static class LiftHold
{
    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapDelete("retention/holds/{kind}/{name}", Delete).WithName(nameof(LiftHold)).Needs(Permissions.Manage).WithSummary("Lift a legal hold").ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<NoContent, ProblemHttpResult>> Delete(string kind, string name, RetentionStore retention, CallerScope scope, CancellationToken ct) =>
        retention.LiftAsync(scope.Current.Tenant, kind, name, ct).ToNoContent();
}
