using Marten;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.Net.Http.Headers;
using Platform.Kernel;

namespace Platform.Registry.Models;

/// <summary>The version's ONNX file, verified while it is read: it runs in any ONNX runtime without this platform.</summary>
internal static class DownloadArtifact
{
    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("models/{model}/versions/{version:int}/artifact", GetAsync).WithName(nameof(DownloadArtifact)).Needs(Permissions.Read).WithSummary("Download a version's ONNX file")
            .Produces<Stream>(StatusCodes.Status200OK, "application/octet-stream").ProducesProblem(StatusCodes.Status404NotFound);

    private static async Task<Results<FileStreamHttpResult, ProblemHttpResult>> GetAsync(
        string model, int version, IQuerySession session, IBlobStore blobs, CallerScope scope, HttpResponse response, CancellationToken ct)
    {
        if (await session.LoadAsync<ModelVersion>(ModelVersion.Key(model, version), ct) is not { } found)
        {
            return Refusal.NotFound("model version", $"{model}/{version}").ToProblem();
        }

        response.ContentLength = found.Facts.ArtifactBytes;
        var content = await blobs.OpenAsync(scope.Current.Tenant, found.Facts.ArtifactSha256, ct);
        return TypedResults.Stream(content, "application/octet-stream", $"{model}-{version}.onnx", entityTag: new EntityTagHeaderValue($"\"{found.Facts.ArtifactSha256}\""));
    }
}
