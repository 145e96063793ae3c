using System.Text.Json.Serialization;
using JasperFx;
using Platform.Kernel;

namespace Platform.Governance.Policies;

/// <param name="Required">Whether an approval by someone other than the author opens the gate of <c>champion</c>.</param>
/// <param name="Reason">Why it was switched, for whoever audits it.</param>
internal sealed record ApprovalRuleSwitched(bool Required, string Reason);

/// <summary>A tenant's own rules. Until a tenant says otherwise, an approval is required.</summary>
internal sealed record Policy(string Id, bool ApprovalRequired) : IRevisioned
{
    /// <summary>The stream's revision, set by the store.</summary>
    public int Version { get; set; }

    public const string Key = "policy";

    public static readonly Policy Default = new(Key, ApprovalRequired: true);

    public static Policy Create(ApprovalRuleSwitched switched) => new(Key, switched.Required);

    public Policy Apply(ApprovalRuleSwitched switched) => this with { ApprovalRequired = switched.Required };
}

/// <summary>The policy as the API and the pages show it.</summary>
internal sealed record PolicyView(bool ApprovalRequired) : IHasRevision
{
    [JsonIgnore]
    public long Revision { get; init; }

    public static PolicyView Of(Policy policy) => new(policy.ApprovalRequired) { Revision = policy.Version };
}
