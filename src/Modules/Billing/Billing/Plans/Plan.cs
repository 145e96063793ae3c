using Platform.Billing.Contracts;

namespace Platform.Billing.Plans;

/// <param name="PricePerPrediction">In <paramref name="Currency"/> (ISO 4217), for one predicted row.</param>
/// <param name="MonthlyQuota">Predictions a calendar month (UTC); null is unlimited.</param>
/// <param name="Limits">Null in events from before plans had limits of their own.</param>
internal sealed record PlanPriced(decimal PricePerPrediction, string Currency, long? MonthlyQuota, RequestLimits? Limits = null);

/// <summary>One price of a plan. Predictions are stamped with the revision they were made under, so a new price never touches the past.</summary>
internal sealed record PlanRevision(int Number, decimal PricePerPrediction, string Currency, long? MonthlyQuota, RequestLimits? Limits = null);

/// <summary>A plan and all its revisions, the last of which holds. Plans belong to the platform and live in its tenant.</summary>
internal sealed record Plan(string Id, IReadOnlyList<PlanRevision> Revisions)
{
    public const string DefaultName = "standard";

    /// <summary>What a tenant without a plan pays on an installation where nobody has set a price yet.</summary>
    public static readonly Plan Default = new(Key(DefaultName), [new(1, 0.001m, "EUR", null)]);

    public PlanRevision Current => Revisions[^1];

    public static string Key(string name) => $"plan:{name}";

    public static string NameOf(string key) => key["plan:".Length..];

    public string PriceClass(PlanRevision revision) => $"{NameOf(Id)}@{revision.Number}";

    // The default plan has a revision before its first event, so that prices given before anyone set one keep their meaning.
    public static Plan Create(JasperFx.Events.IEvent<PlanPriced> first)
    {
        var before = first.StreamKey == Default.Id ? Default.Revisions : [];
        return new Plan(first.StreamKey!, before).Apply(first.Data);
    }

    public Plan Apply(PlanPriced priced) =>
        this with { Revisions = [.. Revisions, new(Revisions.Count + 1, priced.PricePerPrediction, priced.Currency, priced.MonthlyQuota, priced.Limits)] };
}

/// <summary>A plan as the API and the pages show it.</summary>
internal sealed record PlanView(
    string Name, int Revision, decimal PricePerPrediction, string Currency, long? MonthlyQuota,
    double? RequestsPerSecond, int? Burst, double? RequestsPerSecondPerKey, int? MaxConcurrent)
{
    public static PlanView Of(Plan plan)
    {
        var (now, limits) = (plan.Current, plan.Current.Limits ?? RequestLimits.None);
        return new(Plan.NameOf(plan.Id), now.Number, now.PricePerPrediction, now.Currency, now.MonthlyQuota,
            limits.RequestsPerSecond, limits.Burst, limits.RequestsPerSecondPerKey, limits.MaxConcurrent);
    }
}
