using System.Net.Mime;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.StaticFiles;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Net.Http.Headers;
using Platform.Kernel;
using Platform.Registry.Tracking;

namespace Platform.Registry.Mlflow;

/// <summary><c>mlflow-artifacts/…</c>: files through the server, streamed both ways. The same content is stored once; its SHA-256 is the <c>ETag</c>.</summary>
internal static class ArtifactRoutes
{
    private const string Prefix = "mlflow-artifacts/artifacts";
    private static readonly FileExtensionContentTypeProvider Types = new();

    internal static void Map(MlflowRoutes.Table routes)
    {
        routes.Raw(HttpMethods.Get, Prefix, Permissions.ReadRuns, "List artifacts", ListAsync);
        routes.Raw(HttpMethods.Put, Prefix + "/{**path}", Permissions.WriteRuns, "Upload an artifact", PutAsync);
        routes.Raw(HttpMethods.Get, Prefix + "/{**path}", Permissions.ReadRuns, "Download an artifact", GetAsync);
        routes.Raw(HttpMethods.Delete, Prefix + "/{**path}", Permissions.WriteRuns, "Delete an artifact", DeleteAsync);
        routes.Get("mlflow/artifacts/list", Permissions.ReadRuns, "List a run's artifacts", ListOfRunAsync);
    }

    private static async Task<Refusal?> ListAsync(HttpContext context)
    {
        var folder = context.Request.Query["path"].ToString().TrimEnd('/');
        if (folder.Length > 0 && !Artifacts.IsSound(folder)) return Unsound;
        var files = await Service<Artifacts>(context).ListAsync(Tenant(context), folder, context.RequestAborted);
        await context.Response.WriteAsJsonAsync(new { Files = files.Select(f => new { Path = f.Name, IsDir = f.Bytes is null, FileSize = f.Bytes }) }, MlflowJson.Options, context.RequestAborted);
        return null;
    }

    private static async Task<Result<object?>> ListOfRunAsync(MlflowCall call)
    {
        var id = MlflowRules.RunId(call);
        var path = (call.Text("path") ?? "").TrimEnd('/');
        if (path.Length > 0 && !Artifacts.IsSound(path)) call.Refuse("Invalid path");
        if (call.Wrong is { } wrong) return wrong;
        if (await call.Get<RunStore>().FindAsync(call.Tenant, id, call.Aborted) is not { } run) return RunStore.Missing(id);
        if (FolderOf(run.Info.ArtifactUri) is not { } root) return MlflowCall.Bad($"The run's artifacts are not here but at {run.Info.ArtifactUri}.");
        var files = await call.Get<Artifacts>().ListAsync(call.Tenant, path.Length == 0 ? root : $"{root}/{path}", call.Aborted);
        return Result<object?>.Ok(new
        {
            RootUri = run.Info.ArtifactUri,
            Files = MlflowJson.Unless<object>([.. files.Select(f => new { Path = path.Length == 0 ? f.Name : $"{path}/{f.Name}", IsDir = f.Bytes is null, FileSize = f.Bytes })]),
        });
    }

    private static async Task<Refusal?> PutAsync(HttpContext context)
    {
        var path = Path(context);
        if (!Artifacts.IsSound(path)) return Unsound;
        if (IsVersions(path)) return VersionsAreFixed;
        var most = Service<RegistryLimits>(context).MaxArtifactBytes;
        // The server's own limit is for JSON; files are streamed to the store as they come.
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit) limit.MaxRequestBodySize = null;
        var stored = await Service<Artifacts>(context).PutAsync(Tenant(context), path, context.Request.Body, most, context.RequestAborted);
        if (stored.Refusal is { } refusal) return refusal;
        context.Response.Headers.ETag = $"\"{stored.Value.Sha256}\"";
        await context.Response.WriteAsJsonAsync(new { stored.Value.Sha256, FileSize = stored.Value.Length }, MlflowJson.Options, context.RequestAborted);
        return null;
    }

    private static async Task<Refusal?> GetAsync(HttpContext context)
    {
        var path = Path(context);
        if (!Artifacts.IsSound(path)) return Unsound;
        if (await Service<Artifacts>(context).FindAsync(Tenant(context), path, context.RequestAborted) is not { } file) return Missing(path);
        var response = context.Response;
        response.ContentType = Types.TryGetContentType(path, out var type) && type is not (MediaTypeNames.Text.Html or "image/svg+xml") ? type : MediaTypeNames.Application.Octet;
        response.Headers.ETag = $"\"{file.Sha256}\"";
        response.Headers.AcceptRanges = "bytes";
        // A browser must not run what somebody logged as a page of this host.
        response.Headers.XContentTypeOptions = "nosniff";
        response.Headers.ContentDisposition = new ContentDispositionHeaderValue("attachment") { FileNameStar = path[(path.LastIndexOf('/') + 1)..] }.ToString();
        if (context.Request.Headers.IfNoneMatch.Contains(response.Headers.ETag.ToString()))
        {
            response.StatusCode = StatusCodes.Status304NotModified;
            return null;
        }

        var (from, length) = Range(context.Request, file);
        if (from < 0)
        {
            response.Headers.ContentRange = $"bytes */{file.Bytes}";
            response.StatusCode = StatusCodes.Status416RangeNotSatisfiable;
            return null;
        }

        if (length < file.Bytes)
        {
            response.StatusCode = StatusCodes.Status206PartialContent;
            response.Headers.ContentRange = $"bytes {from}-{from + length - 1}/{file.Bytes}";
        }

        response.ContentLength = length;
        await using var content = await Service<IBlobStore>(context).OpenAsync(Tenant(context), file.Sha256, context.RequestAborted);
        await CopyAsync(content, response.Body, from, length, toTheEnd: length == file.Bytes, context.RequestAborted);
        return null;
    }

    private static async Task<Refusal?> DeleteAsync(HttpContext context)
    {
        var path = Path(context);
        if (!Artifacts.IsSound(path)) return Unsound;
        if (IsVersions(path)) return VersionsAreFixed;
        if (!await Service<Artifacts>(context).DeleteAsync(Tenant(context), path, context.RequestAborted)) return Missing(path);
        await context.Response.WriteAsJsonAsync(new object(), MlflowJson.Options, context.RequestAborted);
        return null;
    }

    /// <summary>The folder of a <c>mlflow-artifacts:</c> address; null for an address of another kind, or one that is not sound.</summary>
    public static string? FolderOf(string uri)
    {
        if (!uri.StartsWith("mlflow-artifacts:/", StringComparison.Ordinal)) return null;
        var rest = uri["mlflow-artifacts:".Length..];
        // With a host it is mlflow-artifacts://host:port/folder; which host, the caller has decided by calling this one.
        if (rest.StartsWith("//", StringComparison.Ordinal)) rest = rest.IndexOf('/', 2) is var slash and > 0 ? rest[slash..] : "";
        return rest.Length > 1 && rest[1..].TrimEnd('/') is var folder && Artifacts.IsSound(folder) ? folder : null;
    }

    /// <summary>Where to begin and how much; (-1, 0) for a range that lies outside. Of several ranges, or one of another unit, all is sent instead.</summary>
    private static (long From, long Length) Range(HttpRequest request, StoredArtifact file)
    {
        if (!HttpMethods.IsGet(request.Method) || request.GetTypedHeaders().Range is not { Ranges: { Count: 1 } ranges } header || header.Unit != "bytes") return (0, file.Bytes);
        if (request.Headers.IfRange.Count > 0 && request.Headers.IfRange != $"\"{file.Sha256}\"") return (0, file.Bytes);
        var range = ranges.Single();
        var (from, to) = range.From is { } first ? (first, Math.Min(range.To ?? long.MaxValue, file.Bytes - 1)) : (Math.Max(0, file.Bytes - (range.To ?? 0)), file.Bytes - 1);
        return from > to ? (-1, 0) : (from, to - from + 1);
    }

    /// <summary>Reads over what comes before the range: stored content is sealed piece by piece, and read from its beginning.</summary>
    private static async Task CopyAsync(Stream content, Stream to, long skip, long length, bool toTheEnd, CancellationToken ct)
    {
        if (toTheEnd)
        {
            await content.CopyToAsync(to, ct);
            return;
        }

        var buffer = new byte[64 << 10];
        while (length > 0)
        {
            var read = await content.ReadAsync(buffer, ct);
            if (read == 0) throw new InvalidDataException("A stored blob is shorter than it was.");
            var over = (int)Math.Min(skip, read);
            var take = (int)Math.Min(length, read - over);
            await to.WriteAsync(buffer.AsMemory(over, take), ct);
            (skip, length) = (skip - over, length - take);
        }
    }

    internal static bool IsVersions(string path) => path == Artifacts.VersionsFolder || path.StartsWith(Artifacts.VersionsFolder + "/", StringComparison.Ordinal);

    private static string Path(HttpContext context) => (string?)context.Request.RouteValues["path"] ?? "";

    private static string Tenant(HttpContext context) => context.Features.Get<Caller>()!.Tenant;

    private static T Service<T>(HttpContext context) where T : notnull => context.RequestServices.GetRequiredService<T>();

    private static readonly Refusal Unsound = Refusal.Invalid("INVALID_PARAMETER_VALUE", "Invalid path", "path");

    internal static readonly Refusal VersionsAreFixed = Refusal.Forbidden("PERMISSION_DENIED", "The files of a registered version never change.");

    private static Refusal Missing(string path) => new(RefusalKind.NotFound, "RESOURCE_DOES_NOT_EXIST", $"No such artifact: '{path}'", "path");
}
