using System.Collections.Frozen;

namespace Platform.Tenancy;

/// <summary>The four roles and what each may do. Every permission of the platform stands here once; the architecture tests compare it with what endpoints ask for.</summary>
internal static class Roles
{
    public const string PlatformAdmin = "platform-admin";
    public const string TenantAdmin = "tenant-admin";
    public const string Developer = "developer";
    public const string Viewer = "viewer";

    private static readonly string[] ViewerMay = ["tenancy:read", "registry:read", "tracking:read", "features:read", "inference:read", "governance:read", "billing:read"];

    private static readonly string[] DeveloperMay = [.. ViewerMay, "registry:write", "tracking:write", "features:write", "inference:write", "inference:predict", "governance:request"];

    private static readonly string[] TenantAdminMay = [.. DeveloperMay, "tenancy:write", "registry:manage", "governance:approve", "governance:write"];

    private static readonly string[] PlatformAdminMay = ["tenancy:read", "tenancy:write", "governance:read", "billing:read", "platform:tenants", "platform:plans", "platform:operate"];

    /// <summary>Permissions by role.</summary>
    public static readonly FrozenDictionary<string, FrozenSet<string>> All = new Dictionary<string, FrozenSet<string>>
    {
        [Viewer] = ViewerMay.ToFrozenSet(),
        [Developer] = DeveloperMay.ToFrozenSet(),
        [TenantAdmin] = TenantAdminMay.ToFrozenSet(),
        [PlatformAdmin] = PlatformAdminMay.ToFrozenSet(),
    }.ToFrozenDictionary();

    /// <summary>Roles that a tenant may hand out; platform-admin belongs to the platform's tenant alone.</summary>
    public static bool FitsTenant(string role, string tenant) =>
        All.ContainsKey(role) && role == PlatformAdmin == (tenant == Kernel.Caller.PlatformTenant);

    /// <summary>What a role may do, narrowed by scopes when there are any.</summary>
    public static FrozenSet<string> Permissions(string role, IReadOnlyList<string> scopes) =>
        scopes.Count == 0 ? All[role] : All[role].Where(scopes.Contains).ToFrozenSet();
}
