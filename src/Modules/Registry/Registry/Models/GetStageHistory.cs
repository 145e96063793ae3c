using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Models;

/// <summary>Every stage the versions of a model have been in, from when to when and by whom.</summary>
internal static class GetStageHistory
{
    [Needs(Permissions.Read)]
    internal sealed record Query(string Model) : IRequest<Result<IReadOnlyList<GetStages.Period>>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("models/{model}/stages/history", Get).WithName(nameof(GetStageHistory)).Needs(Permissions.Read).WithSummary("Get every stage the versions of a model have been in")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<IReadOnlyList<GetStages.Period>>, ProblemHttpResult>> Get(string model, IMediator mediator, CancellationToken ct) => mediator.Send(new Query(model), ct).ToOk();

    internal sealed class Handler(IQuerySession session) : IRequestHandler<Query, Result<IReadOnlyList<GetStages.Period>>>
    {
        public async Task<Result<IReadOnlyList<GetStages.Period>>> Handle(Query query, CancellationToken ct)
        {
            var stream = await session.Events.FetchStreamAsync(RegisteredModel.Key(query.Model), token: ct);
            return stream.Count == 0 ? Refusal.NotFound("model", query.Model) : Result<IReadOnlyList<GetStages.Period>>.Ok([.. GetStages.Of(stream).OrderBy(p => p.Version).ThenBy(p => p.Since)]);
        }
    }
}
