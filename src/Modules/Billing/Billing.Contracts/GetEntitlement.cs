using MediatR;

namespace Platform.Billing.Contracts;

/// <summary>What a tenant's plan allows, for admission on the prediction path; ask again when <see cref="EntitlementChanged"/> says so.
/// Answered for the tenant of the calling scope. Every tenant has one: without a subscription it is the platform's default plan.</summary>
public sealed record GetEntitlement : IRequest<Entitlement>;

/// <summary>The current plan as admission needs it.</summary>
/// <param name="PriceClass">Plan and price revision, such as <c>standard@2</c>: stamped on each journal row, so that a later price change leaves the past alone.</param>
/// <param name="MonthlyQuota">Predictions a calendar month (UTC); null is unlimited.</param>
/// <param name="PricePerPrediction">In <paramref name="Currency"/>.</param>
/// <param name="Limits">What the plan says of the requests themselves.</param>
public sealed record Entitlement(string Plan, string PriceClass, long? MonthlyQuota, decimal PricePerPrediction, string Currency, RequestLimits Limits);

/// <summary>How fast and how many at once a tenant may ask. Null is the host's own limit, which is also the ceiling of what a plan can allow.</summary>
/// <param name="RequestsPerSecond">Of the tenant, on each server.</param>
/// <param name="Burst">Requests at once after a pause, of the tenant and of each of its keys.</param>
/// <param name="RequestsPerSecondPerKey">Of each of the tenant's keys, on each server.</param>
/// <param name="MaxConcurrent">Requests under way at once, on each server.</param>
public sealed record RequestLimits(double? RequestsPerSecond = null, int? Burst = null, double? RequestsPerSecondPerKey = null, int? MaxConcurrent = null)
{
    public static readonly RequestLimits None = new();
}

/// <summary>The tenant's plan, its price, its quota or its limits changed; <see cref="EveryTenant"/> when a plan of the platform did.</summary>
public sealed record EntitlementChanged(string Tenant) : INotification
{
    public const string EveryTenant = "*";
}
