using Npgsql;
using Platform.Kernel;
using static Platform.Registry.Tracking.TrackingDatabase;

namespace Platform.Registry.Tracking;

/// <param name="Path">Where the artifact will be.</param>
internal sealed record Upload(Guid Id, string Path, int Parts);

/// <summary>Artifacts that come in parts, several at once. Until the upload is complete there is nothing at its path; then the whole is.</summary>
internal sealed class Uploads(TrackingDatabase database, Artifacts artifacts, IBlobParts parts, TimeProvider time)
{
    public const int MostParts = 10_000;

    public async Task<Upload> BeginAsync(string tenant, string path, int count, CancellationToken ct)
    {
        var upload = new Upload(Guid.NewGuid(), path, count);
        await database.RunAsync<Done>(tenant,
            [Sql("insert into registry.uploads (tenant_id, upload_id, path, parts, begun_at) values ($1, $2, $3, $4, $5)", tenant, upload.Id, path, count, time.GetUtcNow().ToUnixTimeMilliseconds())],
            _ => Task.FromResult<Result<Done>>(Done.Value), ct);
        return upload;
    }

    public async Task<Result<Upload>> FindAsync(string tenant, Guid id, CancellationToken ct) => (await database.ReadAsync(tenant,
        [Sql("select upload_id, path, parts from registry.uploads where tenant_id = $1 and upload_id = $2 and completed_at is null", tenant, id)], Read, ct)) is [var upload] ? upload : Missing(id);

    public async Task<Result<BlobRef>> PutPartAsync(string tenant, Guid id, int number, Stream content, long maxBytes, CancellationToken ct)
    {
        var upload = await FindAsync(tenant, id, ct);
        if (upload.Refusal is { } missing) return missing;
        return number >= 1 && number <= upload.Value.Parts ? await parts.PutPartAsync(tenant, id, number, content, maxBytes, ct)
            : Refusal.Invalid("INVALID_PARAMETER_VALUE", $"There is no part {number}: the upload has {upload.Value.Parts}.", "part_number");
    }

    /// <summary>Joins the parts into the artifact. Asked again after it was done, as a client does whose answer was lost, it is done.</summary>
    public async Task<Result<Done>> CompleteAsync(string tenant, Guid id, string path, IReadOnlyList<(int Number, string Sha256)> sent, long maxBytes, CancellationToken ct)
    {
        var upload = await FindAsync(tenant, id, ct);
        if (upload.Refusal is { } missing) return await WasCompletedAsync(tenant, id, path, ct) ? Done.Value : missing;
        if (upload.Value.Path != path) return Missing(id);
        if (!sent.Select(s => s.Number).SequenceEqual(Enumerable.Range(1, upload.Value.Parts)))
        {
            return Refusal.Invalid("INVALID_PARAMETER_VALUE", $"The parts must be those from 1 to {upload.Value.Parts}, each once and in order.", "parts");
        }

        var joined = await parts.JoinAsync(tenant, id, sent, maxBytes, ct);
        // Two that complete at once: the parts may have gone with the first.
        if (joined.Refusal is not null && await WasCompletedAsync(tenant, id, path, ct)) return Done.Value;
        if (joined.Refusal is { } refusal) return refusal with { Code = refusal.Kind is RefusalKind.Invalid ? "INVALID_PARAMETER_VALUE" : refusal.Code };
        var named = await artifacts.NameAsync(tenant, path, joined.Value, id, ct);
        if (named.Refusal is { } taken) return taken;
        await parts.DropPartsAsync(tenant, id, ct);
        return Done.Value;
    }

    public async Task<Result<Done>> AbortAsync(string tenant, Guid id, CancellationToken ct)
    {
        var gone = await database.ReadAsync(tenant, [Sql("delete from registry.uploads where tenant_id = $1 and upload_id = $2 and completed_at is null returning 1", tenant, id)], _ => 1, ct);
        await parts.DropPartsAsync(tenant, id, ct);
        return gone.Count > 0 ? Done.Value : Missing(id);
    }

    /// <summary>Forgets uploads that were begun before the moment, complete or not. What is left of their parts goes with drafts that nobody finished.</summary>
    public Task GiveUpAsync(string tenant, DateTimeOffset begunBefore, CancellationToken ct) => database.RunAsync<Done>(tenant,
        [Sql("delete from registry.uploads where tenant_id = $1 and begun_at < $2", tenant, begunBefore.ToUnixTimeMilliseconds())], _ => Task.FromResult<Result<Done>>(Done.Value), ct);

    private async Task<bool> WasCompletedAsync(string tenant, Guid id, string path, CancellationToken ct) => (await database.ReadAsync(tenant,
        [Sql("select 1 from registry.uploads where tenant_id = $1 and upload_id = $2 and path = $3 and completed_at is not null", tenant, id, path)], _ => 1, ct)).Count > 0;

    private static Upload Read(NpgsqlDataReader row) => new(row.GetGuid(0), row.GetString(1), row.GetInt32(2));

    public static Refusal Missing(Guid id) => new(RefusalKind.NotFound, "RESOURCE_DOES_NOT_EXIST", $"There is no upload {id} under way here.", "upload_id");
}
