using MediatR;

namespace Platform.Tenancy.Contracts;

/// <summary>Every tenant, whoever asks: for the platform's own start-up and upkeep only (serving tables, roll-ups), never for a caller.</summary>
/// <param name="Only">Only this one, for upkeep that goes tenant by tenant; null is all.</param>
public sealed record ListAllTenants(string? Only = null) : IRequest<IReadOnlyList<TenantSummary>>;

/// <summary>A tenant's id (a slug), display name and whether it may call anything now.</summary>
public sealed record TenantSummary(string Id, string Name, bool Suspended);

/// <summary>A tenant was suspended or resumed: a suspended tenant's credentials are refused and its endpoints do not answer.</summary>
public sealed record TenantSuspensionChanged(string Tenant, bool Suspended) : INotification;

/// <summary>Whether there is such a tenant; for modules that act on one by the platform administrator's order.</summary>
public sealed record TenantExists(string Tenant) : IRequest<bool>;
