using JasperFx;
using JasperFx.Events;

namespace Platform.Tenancy.Tenants;

internal sealed record TenantCreated(string Name);

internal sealed record TenantSuspended(string Reason);

internal sealed record TenantResumed;

/// <summary>A customer of the platform. Its stream lives in the platform's own tenant, and so does the directory of all tenants.</summary>
internal sealed record Tenant(string Id, string Name, DateTimeOffset CreatedAt, string? SuspendedBecause) : IRevisioned
{
    /// <summary>The stream's revision, set by the store.</summary>
    public int Version { get; set; }

    public bool Suspended => SuspendedBecause is not null;

    public static string Key(string slug) => $"tenant:{slug}";

    public static string Slug(string key) => key["tenant:".Length..];

    public static Tenant Create(IEvent<TenantCreated> created) =>
        new(created.StreamKey!, created.Data.Name, created.Timestamp, null);

    public Tenant Apply(TenantSuspended suspended) => this with { SuspendedBecause = suspended.Reason };

    public Tenant Apply(TenantResumed _) => this with { SuspendedBecause = null };
}
