using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Tracking;

namespace Platform.Registry.Runs;

/// <summary>A run's metrics with what each was over the whole of the run.</summary>
internal static class ListRunMetrics
{
    [Needs(Permissions.ReadRuns)]
    internal sealed record Query(string Run) : IRequest<Result<IReadOnlyList<MetricView>>>;

    /// <param name="Latest">The value of the greatest step; a text (NaN, Infinity, -Infinity) stands in <paramref name="LatestText"/> where it is no number.</param>
    /// <param name="Minimum">Of the values that are numbers.</param>
    /// <param name="Values">How many were logged.</param>
    internal sealed record MetricView(string Key, double? Latest, string LatestText, double? Minimum, double? Maximum, long Values, long FirstStep, long LastStep, DateTimeOffset LatestAt)
    {
        public static MetricView Of(MetricFigures m) => new(m.Latest.Key, double.IsFinite(m.Latest.Value) ? m.Latest.Value : null, m.Latest.Value.ToString("R"), m.Least, m.Greatest, m.Values, m.FirstStep, m.LastStep, RunView.At(m.Latest.Timestamp));
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("runs/{run}/metrics", Get).WithName(nameof(ListRunMetrics)).Needs(Permissions.ReadRuns).WithSummary("List a run's metrics with their extremes").ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<IReadOnlyList<MetricView>>, ProblemHttpResult>> Get(string run, IMediator mediator, CancellationToken ct) => mediator.Send(new Query(run), ct).ToOk();

    internal sealed class Handler(RunStore runs, RunFigures figures, CallerScope scope) : IRequestHandler<Query, Result<IReadOnlyList<MetricView>>>
    {
        public async Task<Result<IReadOnlyList<MetricView>>> Handle(Query query, CancellationToken ct) =>
            Guid.TryParse(query.Run, out var id) && await runs.FindAsync(scope.Current.Tenant, id, ct) is not null
                ? Result<IReadOnlyList<MetricView>>.Ok([.. (await figures.MetricsAsync(scope.Current.Tenant, id, ct)).Select(MetricView.Of)])
                : Refusal.NotFound("run", query.Run);
    }
}
