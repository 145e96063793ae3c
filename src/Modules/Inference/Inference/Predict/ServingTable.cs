using System.Collections.Frozen;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Inference.Predict;

/// <summary>An endpoint's address.</summary>
internal readonly record struct EndpointKey(string Tenant, string Endpoint);

/// <summary>What answers at an address: a plan, or the reason why an endpoint that exists cannot answer now. Both, when an older plan
/// still answers because a newer one could not be made.</summary>
internal sealed record Serving(ServingPlan? Plan, Refusal? Why)
{
    public static Serving By(ServingPlan plan) => new(plan, null);

    public static Serving Not(Refusal why) => new(null, why);
}

/// <summary>Every endpoint of every tenant on this server. Readers see one frozen table, whole and consistent; who changes it builds the next one
/// off to the side and swaps the reference, so no request ever waits or sees half a change.</summary>
internal sealed class ServingTable
{
    private readonly Lock writing = new();
    private volatile FrozenDictionary<EndpointKey, Serving> current = FrozenDictionary<EndpointKey, Serving>.Empty;

    public FrozenDictionary<EndpointKey, Serving> Current => current;

    /// <summary>Whether the first table has been built; before that the server is not ready.</summary>
    public bool IsReady { get; private set; }

    /// <summary>The plan at this address. Another tenant's endpoint and one that does not exist look the same.</summary>
    public Result<ServingPlan> Find(string tenant, string endpoint) =>
        !current.TryGetValue(new EndpointKey(tenant, endpoint), out var serving) ? Refusal.NotFound("endpoint", endpoint)
        : serving.Plan is { } plan ? plan
        : serving.Why!;

    /// <summary>Replaces some addresses and takes away those whose serving is null.</summary>
    public void Swap(IEnumerable<KeyValuePair<EndpointKey, Serving?>> changes)
    {
        lock (writing)
        {
            var next = current.ToDictionary();
            foreach (var (key, serving) in changes)
            {
                if (next.GetValueOrDefault(key)?.Plan is { } old && old != serving?.Plan) old.Works.Close();
                if (serving is null) next.Remove(key);
                else next[key] = serving;
            }
            current = next.ToFrozenDictionary();
        }
    }

    /// <summary>The model was unloaded: what its plans keep for its requests goes too.</summary>
    public void GiveBack(ResidentModel unloaded)
    {
        foreach (var serving in current.Values)
        {
            if (serving.Plan is { } plan && plan.Model == unloaded) plan.Works.Drop();
        }
    }

    public void Ready() => IsReady = true;
}
