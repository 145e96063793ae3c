using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Tracking;

namespace Platform.Registry.Experiments;

/// <summary>An experiment with how many runs it has and the keys found in them, which are the columns a table of its runs can have.</summary>
internal static class GetExperiment
{
    [Needs(Permissions.ReadRuns)]
    internal sealed record Query(string Experiment) : IRequest<Result<Response>>;

    /// <param name="Metrics">Keys of metrics, the first 500 by name; so are the others.</param>
    internal sealed record Response(ExperimentView Experiment, IReadOnlyList<string> Metrics, IReadOnlyList<string> Parameters, IReadOnlyList<string> Tags);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("experiments/{experiment}", Get).WithName(nameof(GetExperiment)).Needs(Permissions.ReadRuns).WithSummary("Get an experiment and the keys found in its runs")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<Response>, ProblemHttpResult>> Get(string experiment, IMediator mediator, CancellationToken ct) => mediator.Send(new Query(experiment), ct).ToOk();

    internal sealed class Handler(ExperimentStore experiments, RunFigures figures, CallerScope scope) : IRequestHandler<Query, Result<Response>>
    {
        public async Task<Result<Response>> Handle(Query query, CancellationToken ct)
        {
            var tenant = scope.Current.Tenant;
            if (!long.TryParse(query.Experiment, out var id) || await experiments.CountAsync(tenant, id, ct) is not { } found) return Refusal.NotFound("experiment", query.Experiment);
            return new Response(ExperimentView.Of(found), await figures.KeysAsync(tenant, id, RunField.Metric, ct), await figures.KeysAsync(tenant, id, RunField.Param, ct), await figures.KeysAsync(tenant, id, RunField.Tag, ct));
        }
    }
}
