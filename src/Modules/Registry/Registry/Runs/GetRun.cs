using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Tracking;

namespace Platform.Registry.Runs;

/// <summary>A run with its latest metrics, its parameters and its tags.</summary>
internal static class GetRun
{
    [Needs(Permissions.ReadRuns)]
    internal sealed record Query(string Run) : IRequest<Result<RunView>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("runs/{run}", Get).WithName(nameof(GetRun)).Needs(Permissions.ReadRuns).WithSummary("Get a run").ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<RunView>, ProblemHttpResult>> Get(string run, IMediator mediator, CancellationToken ct) => mediator.Send(new Query(run), ct).ToOk();

    internal sealed class Handler(RunStore runs, CallerScope scope) : IRequestHandler<Query, Result<RunView>>
    {
        public async Task<Result<RunView>> Handle(Query query, CancellationToken ct) =>
            Guid.TryParse(query.Run, out var id) && await runs.FindAsync(scope.Current.Tenant, id, ct) is { } run ? RunView.Of(run) : Refusal.NotFound("run", query.Run);
    }
}
