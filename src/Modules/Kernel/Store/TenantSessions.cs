using System.Diagnostics;
using Marten;

namespace Platform.Kernel.Store;

/// <summary>Opens sessions bound to one tenant, and stamps every event with who caused it. The injected <see cref="IDocumentSession"/> is
/// the calling tenant's; a scope without a caller throws instead of reading someone's data.</summary>
public sealed class TenantSessions(IDocumentStore store, CallerScope scope, IEnumerable<IDocumentSessionListener> listeners) : ISessionFactory
{
    public IQuerySession QuerySession() => store.QuerySession(scope.Current.Tenant);

    public IDocumentSession OpenSession() => For(scope.Current.Tenant);

    /// <summary>A session of another tenant than the caller's. Only for what is the platform's own to do there (creating the tenant's
    /// first key, looking up a credential), after the permission was checked.</summary>
    public IDocumentSession For(string tenant)
    {
        var session = store.LightweightSession(tenant);
        session.LastModifiedBy = scope.OrNone?.Subject ?? "system";
        foreach (var listener in listeners) session.Listeners.Add(listener);
        session.CorrelationId = Activity.Current?.TraceId.ToString();
        return session;
    }
}
