using Marten;
using Medallion.Threading.Postgres;
using Npgsql;
using Platform.Kernel;
using Platform.Kernel.Store;

namespace Platform.Features.Datasets;

/// <summary>The blobs behind datasets. Blobs are content-addressed, so two datasets of the same rows share them: they are put and dropped
/// under a lock of the tenant's, or a deletion could take the file an upload is just about to refer to.</summary>
internal sealed class DatasetFiles(IBlobStore blobs, NpgsqlDataSource database, TenantSessions sessions, CallerScope scope)
{
    private string Tenant => scope.Current.Tenant;

    /// <summary>Holds off deletions until what was put is referred to; dispose it after the upload is saved.</summary>
    public async Task<IAsyncDisposable> KeepAsync(CancellationToken ct)
    {
        var connection = await database.OpenConnectionAsync(ct);
        return new Held(await Lock(connection).AcquireReadLockAsync(cancellationToken: ct), connection);
    }

    public Task<Result<BlobRef>> PutAsync(Stream content, CancellationToken ct)
    {
        content.Position = 0;
        // What reading let through is within its limits, and canonical CSV is only a little longer than what it was made of.
        return blobs.PutAsync(Tenant, content, long.MaxValue, ct);
    }

    public Task<Stream> OpenAsync(string sha256, CancellationToken ct) => blobs.OpenAsync(Tenant, sha256, ct);

    /// <summary>Deletes those of the files that no dataset refers to.</summary>
    public async Task DropAsync(IEnumerable<string> files, CancellationToken ct)
    {
        await using var connection = await database.OpenConnectionAsync(ct);
        await using var held = await Lock(connection).AcquireWriteLockAsync(cancellationToken: ct);
        await using var session = sessions.QuerySession();
        var used = (await session.Query<Dataset>().ToListAsync(ct)).SelectMany(d => d.Versions).SelectMany(v => v.Files()).ToHashSet();
        foreach (var file in files.Except(used)) await blobs.DeleteAsync(Tenant, file, ct);
    }

    private PostgresDistributedReaderWriterLock Lock(NpgsqlConnection connection) =>
        new(new PostgresAdvisoryLockKey($"dataset files of {Tenant}", allowHashing: true), connection);

    private sealed record Held(IAsyncDisposable Lock, NpgsqlConnection Connection) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await Lock.DisposeAsync();
            await Connection.DisposeAsync();
        }
    }
}
