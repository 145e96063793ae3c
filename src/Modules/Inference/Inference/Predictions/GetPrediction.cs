using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Inference.Predictions;

/// <summary>Reads a prediction back: what came in, what was looked up, what went out, by which plan and model, and how long each stage took.</summary>
internal static class GetPrediction
{
    [Needs(Permissions.Read)]
    internal sealed record Query(Guid Id) : IRequest<Result<JournalRow>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("predictions/{id:guid}", Get).WithName(nameof(GetPrediction)).Needs(Permissions.Read).WithSummary("Read a prediction back")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<JournalRow>, ProblemHttpResult>> Get(Guid id, IMediator mediator, CancellationToken ct) => mediator.Send(new Query(id), ct).ToOk();

    internal sealed class Handler(JournalReader journal, CallerScope scope) : IRequestHandler<Query, Result<JournalRow>>
    {
        public async Task<Result<JournalRow>> Handle(Query query, CancellationToken ct) =>
            await journal.FindAsync(scope.Current.Tenant, query.Id, ct) is { } row ? row : Refusal.NotFound("prediction", query.Id.ToString());
    }
}
