using MediatR;

namespace Platform.Billing.Contracts;

/// <summary>What a tenant's plan allows, for admission on the prediction path; ask again when <see cref="EntitlementChanged"/> says so.
/// Answered for the tenant of the calling scope. Every tenant has one: without a subscription it is the platform's default plan.</summary>
public sealed record GetEntitlement : IRequest<Entitlement>;

/// <summary>The current plan as admission needs it.</summary>
/// <param name="PriceClass">Plan and price revision, such as <c>standard@2</c>: stamped on each journal row, so that a later price change leaves the past alone.</param>
/// <param name="MonthlyQuota">Predictions a calendar month (UTC); null is unlimited.</param>
/// <param name="PricePerPrediction">In <paramref name="Currency"/>.</param>
public sealed record Entitlement(string Plan, string PriceClass, long? MonthlyQuota, decimal PricePerPrediction, string Currency);

/// <summary>The tenant's plan, its price or its quota changed; <see cref="EveryTenant"/> when a plan of the platform did.</summary>
public sealed record EntitlementChanged(string Tenant) : INotification
{
    public const string EveryTenant = "*";
}
