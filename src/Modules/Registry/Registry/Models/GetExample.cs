using Marten;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Registry.Intake;

namespace Platform.Registry.Models;

/// <summary>The input example that the version was run on when it was taken in, and what it gave.</summary>
internal static class GetExample
{
    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("models/{model}/versions/{version:int}/example", GetAsync).WithName(nameof(GetExample)).Needs(Permissions.Read).WithSummary("Get a version's input example and what it gave")
            .Produces<KeptExample>(StatusCodes.Status200OK).ProducesProblem(StatusCodes.Status404NotFound);

    private static async Task<Results<FileStreamHttpResult, ProblemHttpResult>> GetAsync(
        string model, int version, IQuerySession session, IBlobStore blobs, CallerScope scope, CancellationToken ct)
    {
        if (await session.LoadAsync<ModelVersion>(ModelVersion.Key(model, version), ct) is not { } found) return Refusal.NotFound("model version", $"{model}/{version}").ToProblem();
        if (found.Facts.Intake?.Example?.Sha256 is not { } kept) return new Refusal(RefusalKind.NotFound, "no-such-example", $"Version {version} of '{model}' has no example that ran.", null, "Upload it with an input example.").ToProblem();
        return TypedResults.Stream(await blobs.OpenAsync(scope.Current.Tenant, kept, ct), "application/json");
    }
}
