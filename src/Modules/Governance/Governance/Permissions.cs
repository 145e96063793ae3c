namespace Platform.Governance;

/// <summary>What may be done about approvals, policy and the audit trail.</summary>
internal static class Permissions
{
    public const string Read = "governance:read";
    public const string Request = "governance:request";
    public const string Approve = "governance:approve";
    public const string Write = "governance:write";
}
