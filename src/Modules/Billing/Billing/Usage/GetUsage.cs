using FluentValidation;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Billing.Contracts;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Billing.Usage;

/// <summary>What the tenant used, by endpoint and day, with its price; and how much of the month's quota is left.</summary>
internal static class GetUsage
{
    /// <param name="From">First day (UTC); the first of this month when left out.</param>
    /// <param name="To">The day after the last (UTC); tomorrow when left out. At most 366 days after <paramref name="From"/>.</param>
    [Needs(Permissions.Read)]
    internal sealed record Query(DateOnly? From = null, DateOnly? To = null) : IRequest<Result<Response>>;

    /// <param name="Predictions">All rows predicted in the time asked for.</param>
    /// <param name="Quota">The quota of the current month, whatever time was asked for.</param>
    internal sealed record Response(DateOnly From, DateOnly To, long Predictions, IReadOnlyList<Money> Totals, IReadOnlyList<PricedLine> Lines, QuotaView Quota);

    /// <param name="MonthlyQuota">Null is unlimited.</param>
    internal sealed record QuotaView(string Plan, long UsedThisMonth, long? MonthlyQuota);

    internal sealed class Rules : AbstractValidator<Query>
    {
        public Rules() => RuleFor(q => q.To).Must((q, to) => to is null || q.From is null || (to > q.From && to.Value.DayNumber - q.From.Value.DayNumber <= 366))
            .WithMessage("'to' must be 1 to 366 days after 'from'.");
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("usage", Get).WithName(nameof(GetUsage)).Needs(Permissions.Read).WithSummary("Usage by endpoint and day");

    private static Task<Results<Ok<Response>, ProblemHttpResult>> Get(DateOnly? from, DateOnly? to, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Query(from, to), ct).ToOk();

    internal sealed class Handler(PricedUsage usage, IMediator mediator, TimeProvider time) : IRequestHandler<Query, Result<Response>>
    {
        public async Task<Result<Response>> Handle(Query query, CancellationToken ct)
        {
            var today = DateOnly.FromDateTime(time.GetUtcNow().UtcDateTime);
            var month = new DateOnly(today.Year, today.Month, 1);
            var (from, to) = (query.From ?? month, query.To ?? today.AddDays(1));
            var lines = await usage.LinesAsync(from, to, ct);
            var thisMonth = from == month && to > today ? lines : await usage.LinesAsync(month, today.AddDays(1), ct);
            var entitlement = await mediator.Send(new GetEntitlement(), ct);
            return new Response(
                from, to, lines.Sum(l => l.Predictions), Money.Totals(lines), lines,
                new(entitlement.Plan, thisMonth.Sum(l => l.Predictions), entitlement.MonthlyQuota));
        }
    }
}
