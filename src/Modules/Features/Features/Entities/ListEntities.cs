using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Features.Entities;

/// <summary>The tenant's entities by name.</summary>
internal static class ListEntities
{
    [Needs(Permissions.Read)]
    internal sealed record Query : IRequest<Result<IReadOnlyList<EntityView>>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("entities", Get).WithName(nameof(ListEntities)).Needs(Permissions.Read).WithSummary("List entities");

    private static Task<Results<Ok<IReadOnlyList<EntityView>>, ProblemHttpResult>> Get(IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Query(), ct).ToOk();

    internal sealed class Handler(IQuerySession session) : IRequestHandler<Query, Result<IReadOnlyList<EntityView>>>
    {
        public async Task<Result<IReadOnlyList<EntityView>>> Handle(Query query, CancellationToken ct) =>
            Result<IReadOnlyList<EntityView>>.Ok([.. (await session.Query<Entity>().OrderBy(e => e.Id).ToListAsync(ct)).Select(EntityView.Of)]);
    }
}
