using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.Net.Http.Headers;
using Platform.Kernel;
using Platform.Registry.Tracking;

namespace Platform.Registry.Runs;

/// <summary>One file of a run. What somebody logged is not trusted: a browser gets it as a file to keep, in a sandbox and under a type it cannot guess another for; only
/// pictures made of pixels may be shown, because they cannot hold a script.</summary>
internal static class ReadRunArtifact
{
    /// <summary>SVG is not among them: it is a document that may hold scripts.</summary>
    private static readonly Dictionary<string, string> Pictures = new(StringComparer.OrdinalIgnoreCase)
    {
        [".png"] = "image/png",
        [".jpg"] = "image/jpeg",
        [".jpeg"] = "image/jpeg",
        [".gif"] = "image/gif",
        [".webp"] = "image/webp",
        [".bmp"] = "image/bmp",
    };

    [Needs(Permissions.ReadRuns)]
    internal sealed record Query(string Run, string Path) : IRequest<Result<Opened>>;

    /// <param name="Content">The caller's, to be read and closed.</param>
    internal sealed record Opened(StoredArtifact File, Stream Content);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("runs/{run}/artifacts/{**path}", GetAsync).WithName(nameof(ReadRunArtifact)).Needs(Permissions.ReadRuns).WithSummary("Download a run's artifact")
            .Produces<Stream>(StatusCodes.Status200OK, "application/octet-stream").ProducesProblem(StatusCodes.Status404NotFound);

    /// <summary>The type of a picture that may be shown; null for everything else.</summary>
    internal static string? PictureType(string path) => Pictures.GetValueOrDefault(Path.GetExtension(path));

    private static async Task<Results<FileStreamHttpResult, ProblemHttpResult>> GetAsync(string run, string path, IMediator mediator, HttpResponse response, CancellationToken ct)
    {
        var opened = await mediator.Send(new Query(run, path), ct);
        if (opened.Refusal is { } refusal) return refusal.ToProblem();
        var (file, content) = opened.Value;
        var picture = PictureType(path);
        response.Headers.XContentTypeOptions = "nosniff";
        response.Headers.ContentSecurityPolicy = "sandbox; default-src 'none'; frame-ancestors 'none'";
        response.Headers["Cross-Origin-Resource-Policy"] = "same-origin";
        response.Headers.CacheControl = "private, no-cache";
        response.Headers.ContentDisposition = new ContentDispositionHeaderValue(picture is null ? "attachment" : "inline") { FileNameStar = path[(path.LastIndexOf('/') + 1)..] }.ToString();
        response.ContentLength = file.Bytes;
        return TypedResults.Stream(content, picture ?? "application/octet-stream", entityTag: new EntityTagHeaderValue($"\"{file.Sha256}\""));
    }

    internal sealed class Handler(RunStore runs, Artifacts artifacts, IBlobStore blobs, CallerScope scope) : IRequestHandler<Query, Result<Opened>>
    {
        public async Task<Result<Opened>> Handle(Query query, CancellationToken ct)
        {
            var tenant = scope.Current.Tenant;
            var place = await ListRunArtifacts.PlaceAsync(runs, tenant, query.Run, query.Path, ct);
            if (place.Refusal is { } refusal) return refusal;
            return query.Path.Length > 0 && await artifacts.FindAsync(tenant, place.Value.Path, ct) is { } file
                ? new Opened(file, await blobs.OpenAsync(tenant, file.Sha256, ct)) : Refusal.NotFound("artifact", query.Path);
        }
    }
}
