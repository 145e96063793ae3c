using System.Globalization;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Billing.Usage;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Billing.Invoices;

/// <summary>What this month's invoice would say if it were made now: a line for each endpoint and price, adding up to the prediction journal exactly.</summary>
internal static class PreviewInvoice
{
    /// <param name="Month">As <c>2026-11</c>; this month when left out.</param>
    [Needs(Permissions.Read)]
    internal sealed record Query(string? Month = null) : IRequest<Result<Response>>;

    /// <param name="Final">True once the month is over and nothing can be added to it.</param>
    internal sealed record Response(string Month, bool Final, long Predictions, IReadOnlyList<Line> Lines, IReadOnlyList<Money> Totals);

    internal sealed record Line(string Endpoint, string PriceClass, long Predictions, decimal UnitPrice, string Currency, decimal Amount);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("invoices/preview", Get).WithName(nameof(PreviewInvoice)).Needs(Permissions.Read).WithSummary("Preview a month's invoice");

    private static Task<Results<Ok<Response>, ProblemHttpResult>> Get(string? month, IMediator mediator, CancellationToken ct) => mediator.Send(new Query(month), ct).ToOk();

    internal sealed class Handler(PricedUsage usage, TimeProvider time) : IRequestHandler<Query, Result<Response>>
    {
        public async Task<Result<Response>> Handle(Query query, CancellationToken ct)
        {
            var now = time.GetUtcNow();
            var asked = query.Month ?? now.ToString("yyyy-MM");
            if (!DateOnly.TryParseExact(asked, "yyyy-MM", CultureInfo.InvariantCulture, DateTimeStyles.None, out var from) || from.Year is < 2000 or > 9998)
            {
                return Refusal.Invalid("bad-month", $"'{asked}' is not a month.", "month", "Write it as 2026-11.");
            }

            var daily = await usage.LinesAsync(from, from.AddMonths(1), ct);
            var lines = daily.GroupBy(l => (l.Endpoint, l.PriceClass, l.UnitPrice, l.Currency))
                .Select(g => new Line(g.Key.Endpoint, g.Key.PriceClass, g.Sum(l => l.Predictions), g.Key.UnitPrice, g.Key.Currency, g.Sum(l => l.Amount)))
                .OrderBy(l => l.Endpoint, StringComparer.Ordinal).ThenBy(l => l.PriceClass, StringComparer.Ordinal).ToArray();
            return new Response(asked, from.AddMonths(1) <= DateOnly.FromDateTime(now.UtcDateTime), lines.Sum(l => l.Predictions), lines, Money.Totals(daily));
        }
    }
}
