using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Features.FeatureViews;

/// <summary>A feature view, what the online store holds of it, and how far its latest materialisation is.</summary>
internal static class GetFeatureView
{
    [Needs(Permissions.Read)]
    internal sealed record Query(string View) : IRequest<Result<FeatureViewView>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("feature-views/{view}", Get).WithName(nameof(GetFeatureView)).Needs(Permissions.Read).WithSummary("Get a feature view")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<FeatureViewView>, ProblemHttpResult>> Get(string view, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Query(view), ct).ToOk();

    internal sealed class Handler(IQuerySession session) : IRequestHandler<Query, Result<FeatureViewView>>
    {
        public async Task<Result<FeatureViewView>> Handle(Query query, CancellationToken ct)
        {
            // The run first: both change in one transaction, and a run that has succeeded beside a view that is not materialised would be a lie.
            var run = await session.LoadAsync<MaterialisationRun>(query.View, ct);
            var found = await FoundViews.FindAsync(session, query.View, ct);
            if (found.Refusal is { } refusal) return refusal;
            return FeatureViewView.Of(found.Value, await FoundViews.ProfileAsync(session, found.Value, ct), run);
        }
    }
}
