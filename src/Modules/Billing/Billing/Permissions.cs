namespace Platform.Billing;

/// <summary>What may be done about plans and usage.</summary>
internal static class Permissions
{
    public const string Read = "billing:read";

    /// <summary>The platform's own: set prices and put tenants on plans.</summary>
    public const string ManagePlans = "platform:plans";
}
