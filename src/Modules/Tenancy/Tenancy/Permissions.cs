namespace Platform.Tenancy;

/// <summary>What may be done with tenants, keys and people.</summary>
internal static class Permissions
{
    public const string Read = "tenancy:read";
    public const string Write = "tenancy:write";

    /// <summary>The platform's own: create, suspend and see all tenants. Only credentials of the platform's tenant can hold it.</summary>
    public const string ManageTenants = "platform:tenants";
}

/// <summary>Topics of the signals this module raises.</summary>
internal static class TenancySignals
{
    public const string Prefix = "tenancy.";
    public const string Tenant = "tenancy.tenant";
    public const string Key = "tenancy.key";
    public const string Person = "tenancy.person";
}
