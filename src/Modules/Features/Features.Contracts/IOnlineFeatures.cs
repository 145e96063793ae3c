namespace Platform.Features.Contracts;

/// <summary>The online store as the prediction path sees it: an interface and not a MediatR query, because that path allows neither
/// mediation nor a database trip it can avoid. Batch-first: one call for all keys.</summary>
public interface IOnlineFeatures
{
    /// <summary>Latest values for each key, in the order of <paramref name="keys"/>; null where the entity is unknown.
    /// Values are by column name: double, string, bool, DateOnly or null for missing. Throws <see cref="KeyNotFoundException"/> when the tenant has no such view, or it has not been materialised.</summary>
    ValueTask<IReadOnlyDictionary<string, object?>?[]> ReadAsync(string tenant, string featureView, IReadOnlyList<string> keys, CancellationToken ct);
}
