using FluentValidation;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Tracking;

namespace Platform.Registry.Runs;

/// <summary>A metric's curve in one run, for a chart: as many buckets as it has room for, each with its first, least, greatest and last value, so that no spike is lost.</summary>
internal static class GetMetricHistory
{
    public const string BySteps = "step", ByTime = "time";

    /// <param name="Key">The metric; in the query, because a metric's key may hold a slash.</param>
    /// <param name="Points">The most buckets; where there are fewer values, each has its own.</param>
    /// <param name="By"><c>step</c> or <c>time</c> (milliseconds since 1970).</param>
    /// <param name="From">The first step or time of the stretch that is drawn.</param>
    [Needs(Permissions.ReadRuns)]
    internal sealed record Query(string Run, string Key, int Points = 400, string By = BySteps, long? From = null, long? To = null) : IRequest<Result<Response>>;

    /// <param name="Values">How many were logged in the stretch.</param>
    /// <param name="IsExact">Whether each value has a bucket of its own.</param>
    /// <param name="NotANumber">How many of the values are NaN, which a curve cannot show.</param>
    internal sealed record Response(string Run, string Key, string By, long Values, bool IsExact, long NotANumber, long Infinite, IReadOnlyList<CurveBucket> Buckets);

    internal sealed class Rules : AbstractValidator<Query>
    {
        public Rules()
        {
            RuleFor(q => q.Key).NotEmpty().MaximumLength(250).Must(k => k?.Contains('\0') is not true).WithMessage("A key holds no character NUL.");
            RuleFor(q => q.Points).InclusiveBetween(1, 5_000);
            RuleFor(q => q.By).Must(by => by is BySteps or ByTime).WithMessage("'{PropertyValue}' is no axis: use step or time.");
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("runs/{run}/metric-history", Get).WithName(nameof(GetMetricHistory)).Needs(Permissions.ReadRuns).WithSummary("Get a metric's curve with its spikes")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<Response>, ProblemHttpResult>> Get(
        string run, string key, IMediator mediator, CancellationToken ct, int points = 400, string by = BySteps, long? from = null, long? to = null) =>
        mediator.Send(new Query(run, key, points, by, from, to), ct).ToOk();

    internal sealed class Handler(RunStore runs, RunFigures figures, CallerScope scope) : IRequestHandler<Query, Result<Response>>
    {
        public async Task<Result<Response>> Handle(Query query, CancellationToken ct)
        {
            var tenant = scope.Current.Tenant;
            if (!Guid.TryParse(query.Run, out var id) || await runs.FindAsync(tenant, id, ct) is null) return Refusal.NotFound("run", query.Run);
            var curve = await figures.CurveAsync(tenant, id, query.Key, query.By == ByTime, query.From, query.To, query.Points, ct);
            return curve.Count == 0 && query is { From: null, To: null }
                ? new Refusal(RefusalKind.NotFound, "no-such-metric", $"The run has no metric '{query.Key}'.", "key", "List the run's metrics.")
                : new Response(id.ToString("N"), query.Key, query.By, curve.Count, curve.IsExact, curve.NotANumber, curve.Infinite, curve.Buckets());
        }
    }
}
