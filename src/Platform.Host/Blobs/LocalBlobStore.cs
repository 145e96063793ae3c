using System.Security.Cryptography;
using Npgsql;
using Platform.Kernel;

namespace Platform.Host.Blobs;

/// <summary>Blobs in a local folder, one file each: <c>blobs/{tenant}/{first two}/{sha256}</c>, encrypted with the tenant's data key. A file's time is when its content
/// was put last.</summary>
internal sealed class LocalBlobStore(string folder, ITenantKeys keys, NpgsqlDataSource database, TimeProvider time) : IBlobStore, IBlobParts
{
    /// <summary>What the system says when it cannot write: ENOSPC, EDQUOT, EFBIG.</summary>
    private const int NoSpace = 28, QuotaUsedUp = 122, FileTooLarge = 27;

    public const string Drafts = "drafts";

    private const string Parts = "parts";

    public async Task<Result<BlobRef>> PutAsync(string tenant, Stream content, long maxBytes, CancellationToken ct)
    {
        var draft = Path.Combine(Directory.CreateDirectory(Path.Combine(TenantFolder(tenant), Drafts)).FullName, Guid.NewGuid().ToString("N"));
        try
        {
            var written = await SealAsync(tenant, content, draft, maxBytes, ct);
            if (written.Refusal is { } refusal) return refusal;
            var path = PathOf(tenant, written.Value.Sha256);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            // Collecting waits for the lock: it deletes nothing that was put since it looked, and so never what is put here.
            await using var held = await LockAsync(tenant, shared: true, ct);
            var now = time.GetUtcNow();
            File.SetLastWriteTimeUtc(draft, now.UtcDateTime);
            // Visible only now, and whole. The same content put twice at once: one comes first, and the second's rename replaces equal with equal.
            try
            {
                File.Move(draft, path, overwrite: false);
                return written.Value with { NewAt = now };
            }
            catch (IOException) when (File.Exists(path))
            {
                File.Move(draft, path, overwrite: true);
                return written;
            }
        }
        finally
        {
            File.Delete(draft);
        }
    }

    public async Task<Stream> OpenAsync(string tenant, string sha256, CancellationToken ct)
    {
        var key = await keys.DataKeyAsync(tenant, ct);
        return SealedBlob.Reader(Opened(PathOf(tenant, sha256)), key, sha256);
    }

    public async Task DiscardAsync(string tenant, BlobRef put, CancellationToken ct)
    {
        if (put.NewAt is not { } at) return;
        await using var held = await LockAsync(tenant, shared: false, ct);
        var file = new FileInfo(PathOf(tenant, put.Sha256));
        if (file.Exists && file.LastWriteTimeUtc == at.UtcDateTime) file.Delete();
    }

    public async Task<Result<BlobRef>> PutPartAsync(string tenant, Guid upload, int number, Stream content, long maxBytes, CancellationToken ct)
    {
        var part = PartOf(tenant, upload, number);
        var draft = $"{part}.{Guid.NewGuid():N}";
        Directory.CreateDirectory(Path.GetDirectoryName(part)!);
        try
        {
            var written = await SealAsync(tenant, content, draft, maxBytes, ct);
            if (written.IsOk) File.Move(draft, part, overwrite: true);
            return written;
        }
        finally
        {
            File.Delete(draft);
        }
    }

    public async Task<Result<BlobRef>> JoinAsync(string tenant, Guid upload, IReadOnlyList<(int Number, string Sha256)> parts, long maxBytes, CancellationToken ct)
    {
        if (parts.FirstOrDefault(p => !File.Exists(PartOf(tenant, upload, p.Number))) is { Sha256: not null } missing) return Refusal.Invalid("no-such-part", $"Part {missing.Number} was not sent.", "parts");
        var key = await keys.DataKeyAsync(tenant, ct);
        try
        {
            await using var joined = new JoinedStream(parts.Select(p => SealedBlob.Reader(Opened(PartOf(tenant, upload, p.Number)), key, p.Sha256)));
            return await PutAsync(tenant, joined, maxBytes, ct);
        }
        catch (InvalidDataException)
        {
            return Refusal.Invalid("part-differs", "A part is not what its ETag says.", "parts", "Send the part again.");
        }
        catch (Exception gone) when (gone is FileNotFoundException or DirectoryNotFoundException)
        {
            return Refusal.Invalid("no-such-part", "A part was taken away meanwhile.", "parts");
        }
    }

    public Task DropPartsAsync(string tenant, Guid upload, CancellationToken ct)
    {
        var parts = Path.GetDirectoryName(PartOf(tenant, upload, 0))!;
        if (Directory.Exists(parts)) Directory.Delete(parts, recursive: true);
        return Task.CompletedTask;
    }

    /// <summary>The tenant's blobs, with what they take on disk.</summary>
    public IEnumerable<(string Sha256, long Bytes, DateTimeOffset PutAt)> List(string tenant)
    {
        if (!Directory.Exists(TenantFolder(tenant))) yield break;
        foreach (var shelf in new DirectoryInfo(TenantFolder(tenant)).EnumerateDirectories("??"))
        {
            foreach (var file in shelf.EnumerateFiles()) yield return (file.Name, file.Length, file.LastWriteTimeUtc);
        }
    }

    /// <summary>Deletes those that were not put again since they were marked. Uploads wait meanwhile, so it takes some hundreds at a time.</summary>
    /// <returns>How many, and what they took on disk.</returns>
    public async Task<(long Count, long Bytes)> DeleteAsync(string tenant, IEnumerable<(string Sha256, DateTimeOffset MarkedAt)> marked, CancellationToken ct)
    {
        var (count, bytes) = (0L, 0L);
        foreach (var some in marked.Chunk(200))
        {
            await using var held = await LockAsync(tenant, shared: false, ct);
            foreach (var (sha256, markedAt) in some)
            {
                var file = new FileInfo(PathOf(tenant, sha256));
                if (!file.Exists || file.LastWriteTimeUtc >= markedAt) continue;
                (count, bytes) = (count + 1, bytes + file.Length);
                file.Delete();
            }
        }

        return (count, bytes);
    }

    /// <summary>Takes away parts and drafts that nobody has written to since: of uploads that were given up, or whose host was killed.</summary>
    public (long Count, long Bytes) DeleteUnfinished(string tenant, DateTimeOffset before)
    {
        var (count, bytes) = (0L, 0L);
        var drafts = new DirectoryInfo(Path.Combine(TenantFolder(tenant), Drafts));
        var uploads = new DirectoryInfo(Path.Combine(TenantFolder(tenant), Parts));
        foreach (var draft in drafts.Exists ? drafts.EnumerateFiles() : []) Delete(draft);
        foreach (var upload in uploads.Exists ? uploads.EnumerateDirectories() : [])
        {
            if (upload.LastWriteTimeUtc >= before || upload.EnumerateFiles().Any(part => part.LastWriteTimeUtc >= before)) continue;
            foreach (var part in upload.EnumerateFiles()) Delete(part);
            if (!upload.EnumerateFileSystemInfos().Any()) upload.Delete();
        }

        return (count, bytes);

        void Delete(FileInfo file)
        {
            if (file.LastWriteTimeUtc >= before) return;
            (count, bytes) = (count + 1, bytes + file.Length);
            file.Delete();
        }
    }

    private async Task<Result<BlobRef>> SealAsync(string tenant, Stream content, string draft, long maxBytes, CancellationToken ct)
    {
        try
        {
            return await WriteAsync(tenant, content, draft, maxBytes, ct);
        }
        catch (IOException full) when (full.HResult is NoSpace or QuotaUsedUp or FileTooLarge)
        {
            return new Refusal(RefusalKind.Unavailable, "storage-full", "There is no room left to keep the content; nothing of it was kept.", null, "Ask the platform's operator for room, and send it again.")
            {
                RetryAfter = TimeSpan.FromMinutes(1),
            };
        }
    }

    private async Task<Result<BlobRef>> WriteAsync(string tenant, Stream content, string draft, long maxBytes, CancellationToken ct)
    {
        var key = await keys.DataKeyAsync(tenant, ct);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        long length = 0;
        await using var file = new FileStream(draft, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.Asynchronous);
        await using var sealing = SealedBlob.Writer(file, key);
        var buffer = new byte[SealedBlob.ChunkBytes];
        int read;
        while ((read = await content.ReadAsync(buffer, ct)) > 0)
        {
            length += read;
            if (length > maxBytes)
            {
                return new Refusal(RefusalKind.TooLarge, "too-large", $"The content is over the limit of {maxBytes:N0} bytes.", null, "Send a smaller file, or ask the operator to raise the limit.");
            }

            hash.AppendData(buffer, 0, read);
            await sealing.WriteAsync(buffer.AsMemory(0, read), ct);
        }

        await sealing.CompleteAsync(ct);
        file.Flush(flushToDisk: true);
        return new BlobRef(Convert.ToHexStringLower(hash.GetHashAndReset()), length);
    }

    /// <summary>Of the tenant's blobs, on every replica: shared by those who put, alone for whoever deletes.</summary>
    private async Task<IAsyncDisposable> LockAsync(string tenant, bool shared, CancellationToken ct)
    {
        var connection = await database.OpenConnectionAsync(ct);
        try
        {
            var transaction = await connection.BeginTransactionAsync(ct);
            await using var take = new NpgsqlCommand($"select pg_advisory_xact_lock{(shared ? "_shared" : "")}(hashtextextended('platform blobs ' || $1, 0))", connection, transaction) { Parameters = { new() { Value = tenant } } };
            await take.ExecuteNonQueryAsync(ct);
            // Closing the connection ends the transaction, and that the lock.
            return connection;
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    private static FileStream Opened(string path) => new(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, 1, FileOptions.Asynchronous | FileOptions.SequentialScan);

    private string TenantFolder(string tenant) => Names.IsSlug(tenant) ? Path.Combine(folder, tenant) : throw new ArgumentException("Not a tenant.", nameof(tenant));

    private string PartOf(string tenant, Guid upload, int number) => Path.Combine(TenantFolder(tenant), Parts, upload.ToString("N"), number.ToString());

    /// <summary>Both parts are checked, because a path is made of them.</summary>
    private string PathOf(string tenant, string sha256) =>
        Names.IsSlug(tenant) && sha256 is { Length: 64 } && sha256.All(char.IsAsciiHexDigitLower)
            ? Path.Combine(folder, tenant, sha256[..2], sha256)
            : throw new ArgumentException("Not a tenant or not a SHA-256 in lower-case hex.", nameof(sha256));
}
