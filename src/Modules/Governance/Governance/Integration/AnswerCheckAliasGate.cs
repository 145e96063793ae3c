using Marten;
using MediatR;
using Platform.Governance.Approvals;
using Platform.Governance.Contracts;
using Platform.Governance.Policies;

namespace Platform.Governance.Integration;

/// <summary>The gate of <c>champion</c>: open with an approval by someone other than the version's author, or when the tenant has switched the rule off.</summary>
internal sealed class AnswerCheckAliasGate(IQuerySession session) : IRequestHandler<CheckAliasGate, GateAnswer>
{
    private const string GatedAlias = "champion";

    public async Task<GateAnswer> Handle(CheckAliasGate ask, CancellationToken ct)
    {
        if (ask.Alias != GatedAlias) return new(true, $"The alias '{ask.Alias}' has no gate.", null, null);
        var policy = await session.LoadAsync<Policy>(Policy.Key, ct) ?? Policy.Default;
        if (!policy.ApprovalRequired) return new(true, "This tenant has switched the approval rule off.", null, null);

        var granted = await session.Query<Approval>()
            .Where(a => a.Model == ask.Model && a.ModelVersion == ask.Version && a.Alias == ask.Alias && a.Status == ApprovalStatus.Granted && a.DecidedBy != ask.Author)
            .OrderByDescending(a => a.DecidedAt)
            .FirstOrDefaultAsync(ct);
        return granted is not null
            ? new(true, $"Approved by {granted.DecidedBy}.", null, granted.ApprovalId())
            : new(false, $"Version {ask.Version} of '{ask.Model}' cannot take '{ask.Alias}' without an approval by someone other than its author.",
                "Request one with POST /api/v1/governance/approvals, and have somebody else grant it.", null);
    }
}
