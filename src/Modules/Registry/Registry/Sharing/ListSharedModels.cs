using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Contracts;

namespace Platform.Registry.Sharing;

/// <summary>The catalogue: versions that other tenants share with this one, to derive from.</summary>
internal static class ListSharedModels
{
    [Needs(Permissions.Read)]
    internal sealed record Query : IRequest<Result<Response>>;

    internal sealed record Response(IReadOnlyList<SharedVersion> Models);

    /// <param name="Tenant">Whose it is.</param>
    internal sealed record SharedVersion(
        string Tenant, string Model, int Version, string? Description, ArtifactKind Kind, long ArtifactBytes, string ArtifactSha256, ModelSignature Signature, IReadOnlyList<ColumnSpec> Columns,
        string? PredictionOutput, DateTimeOffset PublishedAt)
    {
        public static SharedVersion Of(Publication p) => new(
            p.Tenant, p.Model, p.Version, p.Facts.Description, p.Facts.Kind, p.Facts.ArtifactBytes, p.Facts.ArtifactSha256, p.Facts.Signature, p.Facts.Columns, p.Facts.PredictionOutput, p.PublishedAt);
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("shared-models", Get).WithName(nameof(ListSharedModels)).Needs(Permissions.Read).WithSummary("List the versions that other tenants share with this one");

    private static Task<Results<Ok<Response>, ProblemHttpResult>> Get(IMediator mediator, CancellationToken ct) => mediator.Send(new Query(), ct).ToOk();

    internal sealed class Handler(Publications publications, CallerScope scope) : IRequestHandler<Query, Result<Response>>
    {
        public async Task<Result<Response>> Handle(Query query, CancellationToken ct) => new Response([.. (await publications.ListAsync(scope.Current.Tenant, ct)).Select(SharedVersion.Of)]);
    }
}
