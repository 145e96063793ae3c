using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Tracking;

namespace Platform.Registry.Models;

/// <summary>The tenant's models by name, a page at a time; those that fulfil a filter, when one is given.</summary>
internal static class ListModels
{
    /// <param name="After">Only names after this one: the last of the page before.</param>
    /// <param name="Filter">Such as <c>name LIKE 'price%' and tags.team = 'sales'</c>.</param>
    [Needs(Permissions.Read)]
    internal sealed record Query(string? After = null, int Limit = 1_000, string? Filter = null) : IRequest<Result<IReadOnlyList<ModelView>>>;

    internal sealed class Rules : AbstractValidator<Query>
    {
        public Rules()
        {
            RuleFor(q => q.Limit).InclusiveBetween(1, 1_000);
            RuleFor(q => q.After).MaximumLength(1_000).Must(a => a?.Contains('\0') is not true).WithMessage("A name holds no character NUL.");
            RuleFor(q => q.Filter).MaximumLength(10_000).Must(f => f?.Contains('\0') is not true).WithMessage("A filter holds no character NUL.");
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("models", Get).WithName(nameof(ListModels)).Needs(Permissions.Read).WithSummary("List models, or find some");

    private static Task<Results<Ok<IReadOnlyList<ModelView>>, ProblemHttpResult>> Get(IMediator mediator, CancellationToken ct, string? after = null, int limit = 1_000, string? filter = null) =>
        mediator.Send(new Query(after, limit, filter), ct).ToOk();

    internal sealed class Handler(IQuerySession session, ModelSearch search, CallerScope scope) : IRequestHandler<Query, Result<IReadOnlyList<ModelView>>>
    {
        public async Task<Result<IReadOnlyList<ModelView>>> Handle(Query query, CancellationToken ct)
        {
            var filter = SearchFilter.ParsePlain(query.Filter, ModelSearch.ModelTexts, []);
            if (filter.Refusal is { } wrong) return Refusal.Invalid("bad-filter", wrong.Detail, "filter", "See docs/mlflow.md for the language of filters.");
            var page = await search.ModelsAsync(scope.Current.Tenant, filter.Value, [], query.After is { Length: > 0 } name ? ModelSearch.After(name) : null, query.Limit, ct);
            if (page.Refusal is { } refusal) return refusal;
            return Result<IReadOnlyList<ModelView>>.Ok([.. (await session.LoadInOrderAsync<RegisteredModel>(page.Value.Keys, m => m.Id, ct)).Select(ModelView.Of)]);
        }
    }
}
