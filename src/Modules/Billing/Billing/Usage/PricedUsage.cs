using MediatR;
using Platform.Billing.Plans;
using Platform.Inference.Contracts;

namespace Platform.Billing.Usage;

/// <summary>Predictions of one endpoint on one day at one price, and what they cost; amounts are exact, never rounded.</summary>
internal sealed record PricedLine(string Endpoint, DateOnly Day, string PriceClass, long Predictions, decimal UnitPrice, string Currency, decimal Amount);

/// <summary>An amount in a currency; amounts of different currencies are never added.</summary>
internal sealed record Money(decimal Amount, string Currency)
{
    public static IReadOnlyList<Money> Totals(IEnumerable<PricedLine> lines) =>
        [.. lines.GroupBy(l => l.Currency).OrderBy(g => g.Key, StringComparer.Ordinal).Select(g => new Money(g.Sum(l => l.Amount), g.Key))];
}

/// <summary>The meter: the prediction journal's own count, priced with the plan revision each prediction was made under.</summary>
internal sealed class PricedUsage(IMediator mediator, PlanBook book)
{
    public async Task<IReadOnlyList<PricedLine>> LinesAsync(DateOnly from, DateOnly to, CancellationToken ct)
    {
        var counted = await mediator.Send(new GetJournalUsage(from, to), ct);
        var prices = (await book.AllAsync(ct)).SelectMany(p => p.Revisions.Select(r => (Class: p.PriceClass(r), Revision: r))).ToDictionary(p => p.Class, p => p.Revision);
        return [.. counted.Select(line =>
        {
            var price = prices.TryGetValue(line.PriceClass, out var known)
                ? known
                : throw new InvalidOperationException($"The journal has the price class '{line.PriceClass}', which no plan has.");
            return new PricedLine(line.Endpoint, line.Day, line.PriceClass, line.Predictions, price.PricePerPrediction, price.Currency, line.Predictions * price.PricePerPrediction);
        }).OrderBy(l => l.Day).ThenBy(l => l.Endpoint, StringComparer.Ordinal).ThenBy(l => l.PriceClass, StringComparer.Ordinal)];
    }
}
