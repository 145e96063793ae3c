using Platform.Inference.Predict;
using Platform.Inference.Predict.Runtimes;
using Platform.Registry.Contracts;

namespace Platform.Inference.ResidentModels;

/// <summary>A model's file on this server: who serves by it, whether it is in memory now, and what it takes there.</summary>
/// <param name="Serves">The endpoints that name it, which is why it is kept; a file that several versions share is in memory once.</param>
/// <param name="Bytes">Memory it holds, about; null when it is not loaded.</param>
/// <param name="ArtifactBytes">The size of its file.</param>
/// <param name="Placement">Where it runs, such as CPU, and why if that is not where it was meant to; null when it is not loaded.</param>
/// <param name="Waiting">Its requests that wait for a core now.</param>
/// <param name="Composites">How many loaded composites it is a member of; it stays in memory with them.</param>
/// <param name="LastUsed">Its last request; null before the first.</param>
/// <param name="Failure">Why it could not be loaded the last time, if so.</param>
internal sealed record ResidentModelView(
    string Tenant, string ArtifactSha256, ArtifactKind Kind, IReadOnlyList<ServedBy> Serves, bool Loaded, string? Placement, long? Bytes, long ArtifactBytes, double? LoadMilliseconds,
    int Waiting, int Composites, DateTimeOffset? LastUsed, string? Failure)
{
    public static ResidentModelView Of(ResidentModel model, IEnumerable<ServingPlan> plans, TimeProvider time)
    {
        var session = model.Loaded;
        return new(
            model.Key.Tenant, model.Key.ArtifactSha256, model.Kind, [.. plans.Select(plan => new ServedBy(plan.Terms.Endpoint, plan.Version.Model, plan.Version.Version)).OrderBy(by => by.Endpoint, StringComparer.Ordinal)],
            session is not null, session?.Placement, session?.Bytes, model.ArtifactBytes, session?.LoadTime.TotalMilliseconds, model.Waiting, model.Holders,
            model.LastUsed == 0 ? null : time.GetUtcNow() - time.GetElapsedTime(model.LastUsed), session is null ? model.Failure?.Detail : null);
    }
}

internal sealed record ServedBy(string Endpoint, string Model, int Version);
