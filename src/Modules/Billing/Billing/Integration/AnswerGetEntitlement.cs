using Marten;
using MediatR;
using Platform.Billing.Contracts;
using Platform.Billing.Plans;
using Platform.Billing.Subscriptions;

namespace Platform.Billing.Integration;

/// <summary>Answers <see cref="GetEntitlement"/> for the calling tenant.</summary>
internal sealed class AnswerGetEntitlement(IQuerySession session, PlanBook book) : IRequestHandler<GetEntitlement, Entitlement>
{
    public async Task<Entitlement> Handle(GetEntitlement ask, CancellationToken ct)
    {
        var chosen = await session.LoadAsync<Subscription>(Subscription.Key, ct);
        var plan = await book.FindAsync(chosen?.Plan ?? Plan.DefaultName, ct)
            ?? throw new InvalidOperationException($"The tenant is on the plan '{chosen?.Plan}', which does not exist.");
        return Entitlements.Of(plan);
    }
}
