namespace Platform.Kernel;

/// <summary>A stored blob: its SHA-256 in lower-case hex (of the plain content) and its length in bytes.</summary>
public sealed record BlobRef(string Sha256, long Length)
{
    /// <summary>When it was put, if the tenant had no such content before; null otherwise.</summary>
    public DateTimeOffset? NewAt { get; init; }
}

/// <summary>Artifacts and dataset files: content-addressed within a tenant, streamed, encrypted at rest with the tenant's data key,
/// verified on every read. Putting the same content twice stores it once. Nobody deletes what others may name: what nobody names any more is collected (<see cref="IBlobCollection"/>).</summary>
public interface IBlobStore
{
    /// <summary>Stores the stream. Nothing is visible until the whole of it is on disk. Over <paramref name="maxBytes"/> it is refused
    /// (413, code <c>too-large</c>) and nothing is kept. Whoever puts a blob names it within the grace period, or it is collected.</summary>
    Task<Result<BlobRef>> PutAsync(string tenant, Stream content, long maxBytes, CancellationToken ct);

    /// <summary>Opens a blob for reading; reading to the end throws <see cref="InvalidDataException"/> when the content was changed on disk.
    /// Throws <see cref="FileNotFoundException"/> when the tenant has no such blob.</summary>
    Task<Stream> OpenAsync(string tenant, string sha256, CancellationToken ct);

    /// <summary>Takes back what was just put and will not be named, such as a file that was refused: at once, unless the tenant had the content before or somebody has put
    /// it again since.</summary>
    Task DiscardAsync(string tenant, BlobRef put, CancellationToken ct);
}

/// <summary>Blobs that come in parts, in any order and at once. Parts are sealed like blobs and are none until they are joined.</summary>
public interface IBlobParts
{
    /// <summary>Keeps one part; the same number again replaces it.</summary>
    Task<Result<BlobRef>> PutPartAsync(string tenant, Guid upload, int number, Stream content, long maxBytes, CancellationToken ct);

    /// <summary>Makes one blob of the parts in the order given, all or nothing. A part that is missing, or is not what its hash says, is refused. The parts stay until they are dropped.</summary>
    Task<Result<BlobRef>> JoinAsync(string tenant, Guid upload, IReadOnlyList<(int Number, string Sha256)> parts, long maxBytes, CancellationToken ct);

    /// <summary>Takes the parts away.</summary>
    Task DropPartsAsync(string tenant, Guid upload, CancellationToken ct);
}

/// <summary>Says which blobs a module still needs. Every module that puts blobs registers one (a law of the architecture tests): what nobody names is deleted.</summary>
public interface IBlobNames
{
    IAsyncEnumerable<string> OfAsync(string tenant, CancellationToken ct);
}

/// <summary>Takes away what nobody names: what is found unnamed is marked, and what is still unnamed when the grace period is over, and was not put again, is deleted
/// (docs/adr/0013-collecting-blobs.md).</summary>
public interface IBlobCollection
{
    /// <summary>Looks once. It may be killed at any step and run by several at once.</summary>
    Task<BlobsCollected> CollectAsync(string tenant, TimeSpan grace, CancellationToken ct);
}

/// <param name="Kept">Blobs that are named.</param>
/// <param name="Marked">Blobs that are not, and whose time is not over.</param>
/// <param name="Deleted">Blobs that are gone now, with parts and drafts that nobody finished.</param>
/// <param name="BytesFreed">On disk.</param>
public sealed record BlobsCollected(long Kept, long Marked, long Deleted, long BytesFreed);

/// <summary>Hands out a tenant's data key (32 bytes, AES-256-GCM), unwrapped. Tenancy implements it; destroying the key erases the tenant.</summary>
public interface ITenantKeys
{
    ValueTask<byte[]> DataKeyAsync(string tenant, CancellationToken ct);
}
