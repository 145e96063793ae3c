using Marten;
using Platform.Features.Datasets;
using Platform.Kernel;

namespace Platform.Features.FeatureViews;

/// <summary>Finds feature views together with what is known of their columns.</summary>
internal static class FoundViews
{
    /// <summary>The view, unless it was deleted.</summary>
    public static async Task<Result<FeatureView>> FindAsync(IQuerySession session, string name, CancellationToken ct) =>
        await session.LoadAsync<FeatureView>(FeatureView.Key(name), ct) is { Deleted: false } view ? view : Refusal.NotFound("feature view", name);

    /// <summary>The profile of the dataset version that the view is materialised from, else of the newest; null when the dataset is gone.</summary>
    public static async Task<DatasetProfile?> ProfileAsync(IQuerySession session, FeatureView view, CancellationToken ct) =>
        (await Dataset.FindAsync(session, view.Dataset, view.Materialised?.DatasetVersion, ct)) is { IsOk: true } found ? found.Value.Profile : null;
}
