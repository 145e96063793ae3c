using FluentValidation;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Inference.Predictions;

/// <summary>The tenant's predictions, newest first, a page at a time. Pages are told by the last id seen, so that new predictions shift nothing.</summary>
internal static class ListPredictions
{
    public const int MostAtOnce = 200;

    [Needs(Permissions.Read)]
    internal sealed record Query(string? Endpoint = null, Guid? Before = null, int Limit = 50) : IRequest<Result<Page>>;

    /// <param name="Items">Without inputs; outputs that are long, and what rules did where that is, are left out too. GET predictions/{id} has them.</param>
    /// <param name="Next">Send it as <c>before</c> for the next page; null on the last.</param>
    internal sealed record Page(IReadOnlyList<JournalRow> Items, Guid? Next);

    internal sealed class Rules : AbstractValidator<Query>
    {
        public Rules() => RuleFor(query => query.Limit).InclusiveBetween(1, MostAtOnce);
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("predictions", Get).WithName(nameof(ListPredictions)).Needs(Permissions.Read).WithSummary("List predictions");

    private static Task<Results<Ok<Page>, ProblemHttpResult>> Get(IMediator mediator, CancellationToken ct, string? endpoint = null, Guid? before = null, int limit = 50) =>
        mediator.Send(new Query(endpoint, before, limit), ct).ToOk();

    internal sealed class Handler(JournalReader journal, CallerScope scope) : IRequestHandler<Query, Result<Page>>
    {
        public async Task<Result<Page>> Handle(Query query, CancellationToken ct)
        {
            var rows = await journal.ListAsync(scope.Current.Tenant, query.Endpoint, query.Before, query.Limit + 1, ct);
            return rows.Count <= query.Limit ? new Page(rows, null) : new Page(rows[..query.Limit], rows[query.Limit - 1].Id);
        }
    }
}
