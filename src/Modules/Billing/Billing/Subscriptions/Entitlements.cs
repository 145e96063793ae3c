using Platform.Billing.Contracts;
using Platform.Billing.Plans;

namespace Platform.Billing.Subscriptions;

/// <summary>What a plan entitles to.</summary>
internal static class Entitlements
{
    public static Entitlement Of(Plan plan) => new(
        Plan.NameOf(plan.Id), plan.PriceClass(plan.Current), plan.Current.MonthlyQuota, plan.Current.PricePerPrediction, plan.Current.Currency,
        plan.Current.Limits ?? RequestLimits.None);
}
