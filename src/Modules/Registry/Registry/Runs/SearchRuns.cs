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

/// <summary>An experiment's runs, in MLflow's language of filters and orders, a page at a time.</summary>
internal static class SearchRuns
{
    /// <param name="Filter">Such as <c>metrics.rmse &lt; 2 and params.lr = '0.1'</c>.</param>
    /// <param name="OrderBy">Such as <c>metrics.rmse ASC</c>; the newest come first when it is left out.</param>
    /// <param name="After">The page before's <c>next</c>.</param>
    /// <param name="Deleted">Those that were deleted, instead of those in use.</param>
    [Needs(Permissions.ReadRuns)]
    internal sealed record Query(string Experiment, string? Filter = null, IReadOnlyList<string>? OrderBy = null, string? After = null, int Limit = 100, bool Deleted = false) : IRequest<Result<Page>>;

    /// <param name="Next">Send it as <c>after</c> for the next page; null on the last.</param>
    internal sealed record Page(IReadOnlyList<RunView> Items, string? Next);

    internal sealed class Rules : AbstractValidator<Query>
    {
        public Rules()
        {
            RuleFor(q => q.Limit).InclusiveBetween(1, 1_000);
            RuleFor(q => q.Filter).MaximumLength(10_000).Must(f => f?.Contains('\0') is not true).WithMessage("A filter holds no character NUL.");
            RuleForEach(q => q.OrderBy).MaximumLength(1_000).Must(o => o?.Contains('\0') is not true).WithMessage("An order holds no character NUL.");
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("experiments/{experiment}/runs", Get).WithName(nameof(SearchRuns)).Needs(Permissions.ReadRuns).WithSummary("Search an experiment's runs")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<Page>, ProblemHttpResult>> Get(
        string experiment, IMediator mediator, CancellationToken ct, string? filter = null, string[]? orderBy = null, string? after = null, int limit = 100, bool deleted = false) =>
        mediator.Send(new Query(experiment, filter, orderBy, after, limit, deleted), ct).ToOk();

    internal sealed class Handler(ExperimentStore experiments, RunSearch search, CallerScope scope) : IRequestHandler<Query, Result<Page>>
    {
        public async Task<Result<Page>> Handle(Query query, CancellationToken ct)
        {
            var filter = SearchFilter.Parse(query.Filter);
            if (filter.Refusal is { } wrong) return Mistake(wrong, "bad-filter", "filter");
            List<OrderKey> order = [];
            foreach (var clause in query.OrderBy ?? [])
            {
                var key = SearchFilter.ParseOrder(clause);
                if (key.Refusal is { } bad) return Mistake(bad, "bad-order", "orderBy");
                if (!order.Any(o => (o.Field, o.Key) == (key.Value.Field, key.Value.Key))) order.Add(key.Value);
            }

            var after = RunToken.Read(query.After, order);
            if (after.Refusal is { } token) return Mistake(token, "bad-page", "after");
            var tenant = scope.Current.Tenant;
            if (!long.TryParse(query.Experiment, out var experiment) || await experiments.FindAsync(tenant, experiment, ct) is null) return Refusal.NotFound("experiment", query.Experiment);
            var page = await search.SearchAsync(tenant, [experiment], query.Deleted ? Lifecycle.Deleted : Lifecycle.Active, filter.Value, order, query.Limit, after.Value, ct);
            return new Page([.. page.Runs.Select(RunView.Of)], page.Next);
        }

        private static Refusal Mistake(Refusal found, string code, string field) => Refusal.Invalid(code, found.Detail, field, "See docs/mlflow.md for the language of filters and orders.");
    }
}
