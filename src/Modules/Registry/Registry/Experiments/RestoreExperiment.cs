using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Tracking;

namespace Platform.Registry.Experiments;

/// <summary>Takes a deleted experiment back with its runs.</summary>
internal static class RestoreExperiment
{
    [Needs(Permissions.WriteRuns)]
    internal sealed record Command(string Experiment) : IRequest<Result<Done>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("experiments/{experiment}/restore", Post).WithName(nameof(RestoreExperiment)).Needs(Permissions.WriteRuns).WithSummary("Restore a deleted experiment").ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<NoContent, ProblemHttpResult>> Post(string experiment, IMediator mediator, CancellationToken ct) => mediator.Send(new Command(experiment), ct).ToNoContent();

    internal sealed class Handler(ExperimentStore experiments, CallerScope scope) : IRequestHandler<Command, Result<Done>>
    {
        public async Task<Result<Done>> Handle(Command command, CancellationToken ct)
        {
            if (!long.TryParse(command.Experiment, out var id)) return Refusal.NotFound("experiment", command.Experiment);
            var changed = await experiments.RestoreAsync(scope.Current.Tenant, id, ct);
            return changed.Refusal is { } refusal ? refusal.InOwnWords(command.Experiment) : Done.Value;
        }
    }
}
