using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Models;

/// <summary>The tenant's models by name, at most 1,000 at a time.</summary>
internal static class ListModels
{
    private const int Limit = 1_000;

    /// <param name="After">Only names after this one: the last of the page before.</param>
    [Needs(Permissions.Read)]
    internal sealed record Query(string? After = null) : IRequest<Result<IReadOnlyList<ModelView>>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("models", Get).WithName(nameof(ListModels)).Needs(Permissions.Read).WithSummary("List models");

    private static Task<Results<Ok<IReadOnlyList<ModelView>>, ProblemHttpResult>> Get(string? after, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Query(after), ct).ToOk();

    internal sealed class Handler(IQuerySession session) : IRequestHandler<Query, Result<IReadOnlyList<ModelView>>>
    {
        public async Task<Result<IReadOnlyList<ModelView>>> Handle(Query query, CancellationToken ct)
        {
            var after = RegisteredModel.Key(query.After ?? "");
            var models = await session.Query<RegisteredModel>().Where(m => m.DeletedAt == null && m.Id.CompareTo(after) > 0).OrderBy(m => m.Id).Take(Limit).ToListAsync(ct);
            return Result<IReadOnlyList<ModelView>>.Ok([.. models.Select(ModelView.Of)]);
        }
    }
}
