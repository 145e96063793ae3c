using Npgsql;
using Platform.Kernel;
using static Platform.Registry.Tracking.TrackingDatabase;

namespace Platform.Registry.Tracking;

/// <param name="Name">Relative to the folder that was listed.</param>
/// <param name="Bytes">Null for a folder.</param>
internal sealed record ListedArtifact(string Name, long? Bytes);

internal sealed record StoredArtifact(string Path, string Sha256, long Bytes);

/// <summary>A tenant's artifacts by path. The same content under many paths is one blob.</summary>
internal sealed class Artifacts(TrackingDatabase database, IBlobStore blobs, TimeProvider time)
{
    /// <summary>Where the files of registered versions are kept, which nobody may write to.</summary>
    public const string VersionsFolder = "model-versions";

    public const int LongestPath = 1_000;

    /// <summary>Whether the path can be meant as one: relative, of plain names, without a way up, however often it was encoded.</summary>
    public static bool IsSound(string path)
    {
        if (path.Length is 0 or > LongestPath) return false;
        for (var decoded = path; ;)
        {
            if (decoded.Contains('\\') || decoded.Any(char.IsControl) || decoded.Split('/').Any(part => part is "" or "." or "..")) return false;
            var further = Uri.UnescapeDataString(decoded);
            if (further == decoded) return true;
            decoded = further;
        }
    }

    public async Task<Result<BlobRef>> PutAsync(string tenant, string path, Stream content, long maxBytes, CancellationToken ct)
    {
        var stored = await blobs.PutAsync(tenant, content, maxBytes, ct);
        return stored.Refusal is { } refusal ? refusal : await NameAsync(tenant, path, stored.Value, upload: null, ct);
    }

    /// <summary>Gives the content its path.</summary>
    /// <param name="upload">The upload in parts that is complete with this, if it came so.</param>
    public async Task<Result<BlobRef>> NameAsync(string tenant, string path, BlobRef stored, Guid? upload, CancellationToken ct)
    {
        // A file cannot be where there is a folder, nor under a file: the path would mean both.
        return await database.RunAsync<BlobRef>(tenant,
            [
                Sql("select path from registry.artifacts where tenant_id = $1 and (path = any ($2) or (path >= $3 || '/' and path < $3 || '0')) limit 1", tenant, Folders(path), path),
                Sql("""
                    insert into registry.artifacts (tenant_id, path, sha256, bytes, stored_at) values ($1, $2, $3, $4, $5)
                    on conflict (tenant_id, path) do update set sha256 = excluded.sha256, bytes = excluded.bytes, stored_at = excluded.stored_at
                    """, tenant, path, stored.Sha256, stored.Length, time.GetUtcNow()),
                .. upload is { } of ? [Sql("update registry.uploads set completed_at = $3 where tenant_id = $1 and upload_id = $2", tenant, of, time.GetUtcNow().ToUnixTimeMilliseconds())] : Array.Empty<NpgsqlBatchCommand>(),
            ],
            async reader => await reader.ReadAsync(ct)
                ? Refusal.Invalid("INVALID_PARAMETER_VALUE", $"'{path}' cannot be a file: there is '{reader.GetString(0)}' already.", "path") : stored, ct);
    }

    public async Task<StoredArtifact?> FindAsync(string tenant, string path, CancellationToken ct) =>
        (await database.ReadAsync(tenant, [Sql("select path, sha256, bytes from registry.artifacts where tenant_id = $1 and path = $2", tenant, path)], Read, ct)).SingleOrDefault();

    /// <summary>What is in the folder, files and folders, by name; nothing for a file.</summary>
    public Task<List<ListedArtifact>> ListAsync(string tenant, string folder, CancellationToken ct) => database.ReadAsync(tenant,
        [
            Sql($"""
                select name, case when bool_and(is_file) then max(bytes) end from (
                    select split_part(rest, '/', 1) as name, position('/' in rest) = 0 as is_file, bytes
                    from (select substr(path, length($2) + 1) as rest, bytes from registry.artifacts where tenant_id = $1 and {Under("$2")}) under
                ) child group by name order by name
                """, tenant, folder.Length == 0 ? "" : folder + "/"),
        ],
        row => new ListedArtifact(row.GetString(0), row.IsDBNull(1) ? null : row.GetInt64(1)), ct);

    /// <summary>Every file under the folder.</summary>
    public Task<List<StoredArtifact>> TreeAsync(string tenant, string folder, CancellationToken ct) =>
        database.ReadAsync(tenant, [Sql($"select path, sha256, bytes from registry.artifacts where tenant_id = $1 and {Under("$2")} order by path", tenant, folder + "/")], Read, ct);

    /// <summary>Gives the folder's files a second path each; their content is not copied.</summary>
    public async Task CopyAsync(string tenant, string folder, string to, CancellationToken ct) => await database.RunAsync<Done>(tenant,
        [
            Sql($"""
                insert into registry.artifacts (tenant_id, path, sha256, bytes, stored_at)
                select tenant_id, $3 || substr(path, length($2) + 1), sha256, bytes, $4 from registry.artifacts where tenant_id = $1 and {Under("$2")}
                """, tenant, folder + "/", to + "/", time.GetUtcNow()),
        ],
        _ => Task.FromResult<Result<Done>>(Done.Value), ct);

    /// <summary>Takes the file away, or all under a folder. The content stays while other paths, versions or datasets share it; what nobody names any more is collected.</summary>
    public async Task<bool> DeleteAsync(string tenant, string path, CancellationToken ct) => (await database.ReadAsync(tenant,
        [Sql($"with gone as (delete from registry.artifacts where tenant_id = $1 and (path = $2 or {Under("$3")}) returning 1) select count(*) from gone", tenant, path, path + "/")],
        row => row.GetInt64(0), ct)).Single() > 0;

    /// <summary>A range of the index: '0' is the character after '/'.</summary>
    private static string Under(string folder) => $"({folder} = '' or (path >= {folder} and path < left({folder}, -1) || '0'))";

    private static string[] Folders(string path) => [.. path.Select((letter, i) => (letter, i)).Where(at => at.letter == '/').Select(at => path[..at.i])];

    private static StoredArtifact Read(NpgsqlDataReader row) => new(row.GetString(0), row.GetString(1), row.GetInt64(2));
}
