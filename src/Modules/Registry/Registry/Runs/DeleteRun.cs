using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Tracking;

namespace Platform.Registry.Runs;

/// <summary>Sets a run aside. It is found among the deleted ones and can be restored until the tenant's retention takes it.</summary>
internal static class DeleteRun
{
    [Needs(Permissions.WriteRuns)]
    internal sealed record Command(string Run) : IRequest<Result<Done>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapDelete("runs/{run}", Delete).WithName(nameof(DeleteRun)).Needs(Permissions.WriteRuns).WithSummary("Delete a run").ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<NoContent, ProblemHttpResult>> Delete(string run, IMediator mediator, CancellationToken ct) => mediator.Send(new Command(run), ct).ToNoContent();

    internal sealed class Handler(RunStore runs, CallerScope scope) : IRequestHandler<Command, Result<Done>>
    {
        public async Task<Result<Done>> Handle(Command command, CancellationToken ct) =>
            Guid.TryParse(command.Run, out var id) && (await runs.SetDeletedAsync(scope.Current.Tenant, id, deleted: true, ct)).IsOk ? Done.Value : Refusal.NotFound("run", command.Run);
    }
}
