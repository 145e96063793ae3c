using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Tracking;

namespace Platform.Registry.Experiments;

/// <summary>The saved views of an experiment's runs, by name.</summary>
internal static class ListRunViews
{
    [Needs(Permissions.ReadRuns)]
    internal sealed record Query(string Experiment) : IRequest<Result<IReadOnlyList<RunViewSettings>>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("experiments/{experiment}/views", Get).WithName(nameof(ListRunViews)).Needs(Permissions.ReadRuns).WithSummary("List the saved views of an experiment's runs")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<IReadOnlyList<RunViewSettings>>, ProblemHttpResult>> Get(string experiment, IMediator mediator, CancellationToken ct) => mediator.Send(new Query(experiment), ct).ToOk();

    internal sealed class Handler(IQuerySession session, ExperimentStore experiments, CallerScope scope) : IRequestHandler<Query, Result<IReadOnlyList<RunViewSettings>>>
    {
        public async Task<Result<IReadOnlyList<RunViewSettings>>> Handle(Query query, CancellationToken ct)
        {
            if (!long.TryParse(query.Experiment, out var experiment) || await experiments.FindAsync(scope.Current.Tenant, experiment, ct) is null) return Refusal.NotFound("experiment", query.Experiment);
            var views = await session.Query<SavedRunView>().Where(v => v.Experiment == experiment).ToListAsync(ct);
            return Result<IReadOnlyList<RunViewSettings>>.Ok([.. views.OrderBy(v => v.Name, StringComparer.Ordinal).Select(RunViewSettings.Of)]);
        }
    }
}
