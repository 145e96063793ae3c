using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Tracking;

namespace Platform.Registry.Runs;

/// <summary>Takes a file out of a run.</summary>
internal static class DeleteRunArtifact
{
    [Needs(Permissions.WriteRuns)]
    internal sealed record Command(string Run, string Path) : IRequest<Result<Done>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapDelete("runs/{run}/artifacts/{**path}", Delete).WithName(nameof(DeleteRunArtifact)).Needs(Permissions.WriteRuns).WithSummary("Delete a run's artifact")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<NoContent, ProblemHttpResult>> Delete(string run, string path, IMediator mediator, CancellationToken ct) => mediator.Send(new Command(run, path), ct).ToNoContent();

    internal sealed class Handler(RunStore runs, Artifacts artifacts, CallerScope scope) : IRequestHandler<Command, Result<Done>>
    {
        public async Task<Result<Done>> Handle(Command command, CancellationToken ct)
        {
            var place = await ListRunArtifacts.PlaceAsync(runs, scope.Current.Tenant, command.Run, command.Path, ct);
            if (place.Refusal is { } refusal) return refusal;
            return command.Path.Length > 0 && await artifacts.DeleteAsync(scope.Current.Tenant, place.Value.Path, ct) ? Done.Value : Refusal.NotFound("artifact", command.Path);
        }
    }
}
