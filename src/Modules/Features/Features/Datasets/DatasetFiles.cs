using Platform.Kernel;

namespace Platform.Features.Datasets;

/// <summary>The blobs behind datasets. They are content-addressed and shared, with other datasets and with whatever else the tenant keeps, so nothing is deleted here:
/// what no dataset names any more is collected.</summary>
internal sealed class DatasetFiles(IBlobStore blobs, CallerScope scope)
{
    private string Tenant => scope.Current.Tenant;

    public Task<Result<BlobRef>> PutAsync(Stream content, CancellationToken ct)
    {
        content.Position = 0;
        // What reading let through is within its limits, and canonical CSV is only a little longer than what it was made of.
        return blobs.PutAsync(Tenant, content, long.MaxValue, ct);
    }

    public Task<Stream> OpenAsync(string sha256, CancellationToken ct) => blobs.OpenAsync(Tenant, sha256, ct);
}
