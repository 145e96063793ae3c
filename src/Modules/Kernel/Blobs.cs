namespace Platform.Kernel;

/// <summary>A stored blob: its SHA-256 in lower-case hex (of the plain content) and its length in bytes.</summary>
public sealed record BlobRef(string Sha256, long Length);

/// <summary>Artifacts and dataset files: content-addressed within a tenant, streamed, encrypted at rest with the tenant's data key,
/// verified on every read. Putting the same content twice stores it once.</summary>
public interface IBlobStore
{
    /// <summary>Stores the stream. Nothing is visible until the whole of it is on disk. Over <paramref name="maxBytes"/> it is refused
    /// (413, code <c>too-large</c>) and nothing is kept.</summary>
    Task<Result<BlobRef>> PutAsync(string tenant, Stream content, long maxBytes, CancellationToken ct);

    /// <summary>Opens a blob for reading; reading to the end throws <see cref="InvalidDataException"/> when the content was changed on disk.
    /// Throws <see cref="FileNotFoundException"/> when the tenant has no such blob.</summary>
    Task<Stream> OpenAsync(string tenant, string sha256, CancellationToken ct);

    Task DeleteAsync(string tenant, string sha256, CancellationToken ct);
}

/// <summary>Hands out a tenant's data key (32 bytes, AES-256-GCM), unwrapped. Tenancy implements it; destroying the key erases the tenant.</summary>
public interface ITenantKeys
{
    ValueTask<byte[]> DataKeyAsync(string tenant, CancellationToken ct);
}
