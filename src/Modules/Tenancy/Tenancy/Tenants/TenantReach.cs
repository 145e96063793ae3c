using Platform.Kernel;

namespace Platform.Tenancy.Tenants;

/// <summary>Whose keys, people and settings a caller may touch: its own tenant's, or any for the platform's administrators.</summary>
internal static class TenantReach
{
    public static bool May(Caller caller, string tenant) =>
        caller.Tenant == tenant || (caller.Tenant == Caller.PlatformTenant && caller.May(Permissions.ManageTenants));
}
