using System.Collections.Concurrent;
using Platform.Inference.Predict;
using Platform.Inference.Predict.Admission;
using Platform.Inference.Predictions;

namespace Platform.Inference.Endpoints;

/// <summary>What is counted per tenant and per endpoint, whatever plan serves it at the moment.</summary>
internal sealed class TenantCounts(JournalReader journal, TimeProvider time)
{
    private readonly ConcurrentDictionary<string, Lazy<Task<TenantAdmission>>> tenants = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<EndpointKey, LiveFigures> figures = new();

    /// <summary>The tenant's running counts; the first time, the month's quota begins at what the journal holds.</summary>
    public async Task<TenantAdmission> AdmissionAsync(string tenant)
    {
        var loading = tenants.GetOrAdd(tenant, _ => new Lazy<Task<TenantAdmission>>(() => SeededAsync(tenant)));
        try
        {
            return await loading.Value;
        }
        catch
        {
            // Another attempt must be possible; a failure must not be remembered for ever.
            tenants.TryRemove(KeyValuePair.Create(tenant, loading));
            throw;
        }
    }

    public LiveFigures Figures(EndpointKey endpoint) => figures.GetOrAdd(endpoint, _ => new LiveFigures(time));

    private async Task<TenantAdmission> SeededAsync(string tenant)
    {
        var now = time.GetUtcNow();
        var first = new DateOnly(now.Year, now.Month, 1);
        var admission = new TenantAdmission(time);
        admission.Month.Seed((await journal.UsageAsync(tenant, first, first.AddMonths(1), CancellationToken.None)).Sum(line => line.Predictions), now);
        return admission;
    }
}
