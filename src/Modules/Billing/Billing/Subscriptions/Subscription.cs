namespace Platform.Billing.Subscriptions;

internal sealed record PlanChosen(string Plan);

/// <summary>The plan a tenant is on; it lives in the tenant. Without one it is the default plan.</summary>
internal sealed record Subscription(string Id, string Plan)
{
    public const string Key = "subscription";

    public static Subscription Create(PlanChosen chosen) => new(Key, chosen.Plan);

    public Subscription Apply(PlanChosen chosen) => this with { Plan = chosen.Plan };
}
