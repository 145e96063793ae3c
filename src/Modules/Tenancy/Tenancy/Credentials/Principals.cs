using System.Collections.Concurrent;
using System.Security.Claims;
using Marten;
using Platform.Kernel;
using Platform.Kernel.Pages;
using Platform.Tenancy.People;
using Platform.Tenancy.Tenants;

namespace Platform.Tenancy.Credentials;

/// <summary>Between a cookie and a caller. The cookie only says who signed in and to which tenant; what they may do is looked up each time,
/// from a cache that signals empty, so that a role taken away is gone at the next click.</summary>
internal sealed class Principals : IPrincipals, IDisposable
{
    public const string Scheme = "platform";

    /// <summary>The host's scheme for an OpenID Connect provider; there only when one is configured.</summary>
    public const string ProviderScheme = "oidc";
    private const string TenantClaim = "tenant";
    private const string StampClaim = "stamp";

    private readonly ConcurrentDictionary<(string PersonId, string Tenant), (Caller Caller, string Stamp)> people = new();
    private readonly IDocumentStore store;
    private readonly KeyCache keys;
    private readonly IDisposable subscription;

    public Principals(IDocumentStore store, KeyCache keys, ISignals signals)
    {
        (this.store, this.keys) = (store, keys);
        // People and tenants change seldom: forgetting everyone is simpler than finding out whom, and costs one look-up each.
        subscription = signals.Subscribe(TenancySignals.Prefix, _ => people.Clear());
    }

    public static ClaimsPrincipal Of(Person person, string tenant) => Make($"person:{person.Id}", person.Name, tenant, person.Stamp);

    public static ClaimsPrincipal Of(Caller key) => Make(key.Subject, key.Name, key.Tenant, "");

    public async ValueTask<Caller?> CallerOfAsync(ClaimsPrincipal principal, CancellationToken ct)
    {
        var subject = principal.FindFirstValue(ClaimTypes.NameIdentifier);
        var tenant = principal.FindFirstValue(TenantClaim);
        if (subject is null || tenant is null) return null;
        if (subject.StartsWith("key:", StringComparison.Ordinal)) return await keys.CallerOfKeyAsync(tenant, subject["key:".Length..], ct);

        var personId = subject["person:".Length..];
        if (!people.TryGetValue((personId, tenant), out var known))
        {
            if (await LoadAsync(personId, tenant, ct) is not { } loaded) return null;
            known = people[(personId, tenant)] = loaded;
        }

        return known.Stamp == principal.FindFirstValue(StampClaim) ? known.Caller : null;
    }

    public void Dispose() => subscription.Dispose();

    private async Task<(Caller, string)?> LoadAsync(string personId, string tenant, CancellationToken ct)
    {
        await using var directory = store.QuerySession(Caller.PlatformTenant);
        if (await directory.LoadAsync<Person>(personId, ct) is not { } person || !person.Roles.TryGetValue(tenant, out var role)) return null;
        if (tenant != Caller.PlatformTenant && await directory.LoadAsync<Tenant>(Tenant.Key(tenant), ct) is not { Suspended: false }) return null;
        return (new Caller(tenant, $"person:{personId}", person.Name, Roles.Permissions(role, [])), person.Stamp);
    }

    private static ClaimsPrincipal Make(string subject, string name, string tenant, string stamp) =>
        new(new ClaimsIdentity(
            [new(ClaimTypes.NameIdentifier, subject), new(ClaimTypes.Name, name), new(TenantClaim, tenant), new(StampClaim, stamp)], Scheme));
}
