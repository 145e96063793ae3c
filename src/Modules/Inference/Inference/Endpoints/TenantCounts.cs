using System.Collections.Concurrent;
using Platform.Inference.Predict;
using Platform.Inference.Predict.Admission;

namespace Platform.Inference.Endpoints;

/// <summary>What is counted per tenant and per endpoint, whatever plan serves it at the moment.</summary>
internal sealed class TenantCounts(QuotaLeases leases, TimeProvider time)
{
    private readonly ConcurrentDictionary<string, TenantAdmission> tenants = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<EndpointKey, LiveFigures> figures = new();

    public IEnumerable<TenantAdmission> Admissions => tenants.Select(tenant => tenant.Value);

    /// <summary>The tenant's running counts.</summary>
    public TenantAdmission Admission(string tenant) => tenants.GetOrAdd(tenant, name => new TenantAdmission(leases.For(name), time));

    public LiveFigures Figures(EndpointKey endpoint) => figures.GetOrAdd(endpoint, _ => new LiveFigures(time));
}
