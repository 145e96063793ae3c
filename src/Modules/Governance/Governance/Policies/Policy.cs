namespace Platform.Governance.Policies;

/// <param name="Required">Whether an approval by someone other than the author opens the gate of <c>champion</c>.</param>
/// <param name="Reason">Why it was switched, for whoever audits it.</param>
internal sealed record ApprovalRuleSwitched(bool Required, string Reason);

/// <summary>A tenant's own rules. Until a tenant says otherwise, an approval is required.</summary>
internal sealed record Policy(string Id, bool ApprovalRequired)
{
    public const string Key = "policy";

    public static readonly Policy Default = new(Key, ApprovalRequired: true);

    public static Policy Create(ApprovalRuleSwitched switched) => new(Key, switched.Required);

    public Policy Apply(ApprovalRuleSwitched switched) => this with { ApprovalRequired = switched.Required };
}

/// <summary>The policy as the API and the pages show it.</summary>
internal sealed record PolicyView(bool ApprovalRequired);
