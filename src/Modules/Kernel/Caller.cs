using System.Collections.Frozen;

namespace Platform.Kernel;

/// <summary>Who is calling and for which tenant, resolved from the credential alone; no header can widen it.</summary>
/// <param name="Tenant">The tenant every query of this call is bound to.</param>
/// <param name="Subject">Stable id for the audit trail: <c>key:{id}</c>, <c>person:{id}</c> or <c>system</c>.</param>
/// <param name="Name">What a person would call the caller.</param>
/// <param name="Permissions">What the caller may do, such as <c>registry:write</c>; expanded from roles and narrowed by the key's scopes.</param>
public sealed record Caller(string Tenant, string Subject, string Name, FrozenSet<string> Permissions)
{
    /// <summary>The platform's own tenant: it holds the tenant directory and the platform administrators, and no customer's data.</summary>
    public const string PlatformTenant = "platform";

    /// <summary>The platform acting for a tenant by itself: jobs and subscriptions. It may do everything within that tenant.</summary>
    public static Caller System(string tenant) => new(tenant, "system", "the platform", FrozenSet<string>.Empty) { IsSystem = true };

    public bool IsSystem { get; private init; }

    /// <summary>The API key's id, for per-key limits; null for people and the system.</summary>
    public string? KeyId { get; init; }

    public bool May(string permission) => IsSystem || Permissions.Contains(permission);
}

/// <summary>The caller of the current scope. Set once when the scope begins; a scope without one cannot open a session.</summary>
public sealed class CallerScope
{
    private Caller? caller;

    /// <summary>Throws when the scope has none: nothing may touch tenant data without a tenant.</summary>
    public Caller Current => caller ?? throw new InvalidOperationException("This scope has no caller, and so no tenant.");

    public Caller? OrNone => caller;

    public void Begin(Caller by) =>
        caller = caller is null || caller == by ? by : throw new InvalidOperationException("A scope keeps the caller it began with.");
}

/// <summary>Resolves what a request presents. Tenancy implements it, with a cache that a revocation empties at once.</summary>
public interface ICredentials
{
    /// <summary>The caller of an API key, or the refusal that says whether it is unknown, revoked, expired or its tenant suspended.</summary>
    ValueTask<Result<Caller>> ResolveKeyAsync(ReadOnlySpan<char> presented, CancellationToken ct);
}
