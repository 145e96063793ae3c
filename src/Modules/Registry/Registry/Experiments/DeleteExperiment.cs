using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Tracking;

namespace Platform.Registry.Experiments;

/// <summary>Sets an experiment aside, and its runs with it. It can be restored until the tenant's retention takes it.</summary>
internal static class DeleteExperiment
{
    [Needs(Permissions.WriteRuns)]
    internal sealed record Command(string Experiment) : IRequest<Result<Done>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapDelete("experiments/{experiment}", Delete).WithName(nameof(DeleteExperiment)).Needs(Permissions.WriteRuns).WithSummary("Delete an experiment").ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<NoContent, ProblemHttpResult>> Delete(string experiment, IMediator mediator, CancellationToken ct) => mediator.Send(new Command(experiment), ct).ToNoContent();

    internal sealed class Handler(ExperimentStore experiments, CallerScope scope) : IRequestHandler<Command, Result<Done>>
    {
        public async Task<Result<Done>> Handle(Command command, CancellationToken ct)
        {
            if (!long.TryParse(command.Experiment, out var id)) return Refusal.NotFound("experiment", command.Experiment);
            var changed = await experiments.DeleteAsync(scope.Current.Tenant, id, ct);
            return changed.Refusal is { } refusal ? refusal.InOwnWords(command.Experiment) : Done.Value;
        }
    }
}
