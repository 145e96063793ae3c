using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;

namespace Platform.Registry.Sharing;

/// <param name="Everyone">Whether it is open to all tenants.</param>
/// <param name="Tenants">To whom it is, where not to all.</param>
/// <param name="WithdrawnAt">Since when it is open to nobody; null while it is.</param>
/// <param name="Derived">How many versions others have derived from it; whose and what they are stays theirs.</param>
internal sealed record SharingView(string Model, int Version, bool Everyone, IReadOnlyList<string> Tenants, DateTimeOffset PublishedAt, DateTimeOffset? WithdrawnAt, long Derived)
{
    public static SharingView Of((Publication Publication, long Derived) own) => new(
        own.Publication.Model, own.Publication.Version, own.Publication.Everyone, own.Publication.Tenants, own.Publication.PublishedAt, own.Publication.WithdrawnAt, own.Derived);
}

/// <summary>Who may derive from one of the tenant's own versions, and how many versions were derived.</summary>
internal static class GetSharing
{
    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("models/{model}/versions/{version:int}/sharing", GetAsync).WithName(nameof(GetSharing)).Needs(Permissions.Read).WithSummary("Get with whom a version is shared")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static async Task<Results<Ok<SharingView>, ProblemHttpResult>> GetAsync(string model, int version, Publications publications, CallerScope scope, CancellationToken ct) =>
        await publications.FindOwnAsync(scope.Current.Tenant, model, version, ct) is { } own ? TypedResults.Ok(SharingView.Of(own)) : Refusal.NotFound("shared version", $"{model}/{version}").ToProblem();
}
