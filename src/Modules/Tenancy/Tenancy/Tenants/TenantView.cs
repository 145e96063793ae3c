using System.Text.Json.Serialization;
using Platform.Kernel;

namespace Platform.Tenancy.Tenants;

/// <summary>A tenant as the API and the pages show it.</summary>
internal sealed record TenantView(string Id, string Name, DateTimeOffset CreatedAt, bool Suspended, string? SuspendedBecause) : IHasRevision
{
    [JsonIgnore]
    public long Revision { get; init; }

    public static TenantView Of(Tenant tenant) => new(Tenant.Slug(tenant.Id), tenant.Name, tenant.CreatedAt, tenant.Suspended, tenant.SuspendedBecause) { Revision = tenant.Version };
}
