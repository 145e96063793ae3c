using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Features.FeatureViews;

/// <summary>The tenant's feature views by name.</summary>
internal static class ListFeatureViews
{
    [Needs(Permissions.Read)]
    internal sealed record Query : IRequest<Result<IReadOnlyList<Summary>>>;

    /// <param name="Features">How many columns can be looked up.</param>
    /// <param name="Materialised">What look-ups answer from; null before the first materialisation.</param>
    internal sealed record Summary(string Name, string Entity, string Dataset, string KeyColumn, int Features, Materialised? Materialised);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("feature-views", Get).WithName(nameof(ListFeatureViews)).Needs(Permissions.Read).WithSummary("List feature views");

    private static Task<Results<Ok<IReadOnlyList<Summary>>, ProblemHttpResult>> Get(IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Query(), ct).ToOk();

    internal sealed class Handler(IQuerySession session) : IRequestHandler<Query, Result<IReadOnlyList<Summary>>>
    {
        public async Task<Result<IReadOnlyList<Summary>>> Handle(Query query, CancellationToken ct)
        {
            var views = await session.Query<FeatureView>().Where(v => !v.Deleted).OrderBy(v => v.Id).ToListAsync(ct);
            return Result<IReadOnlyList<Summary>>.Ok([.. views.Select(v => new Summary(v.Name(), v.Entity, v.Dataset, v.KeyColumn, v.Features.Count, v.Materialised))]);
        }
    }
}
