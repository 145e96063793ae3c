using Marten;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.Net.Http.Headers;
using Platform.Kernel;
using Platform.Registry.Contracts;

namespace Platform.Registry.Models;

/// <summary>The version's file, verified while it is read. An ONNX file runs in any ONNX runtime without this platform; an ML.NET archive in ML.NET; the
/// description of a model elsewhere, or of what a version is made of, is JSON.</summary>
internal static class DownloadArtifact
{
    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("models/{model}/versions/{version:int}/artifact", GetAsync).WithName(nameof(DownloadArtifact)).Needs(Permissions.Read).WithSummary("Download a version's file")
            .Produces<Stream>(StatusCodes.Status200OK, "application/octet-stream").ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static async Task<Results<FileStreamHttpResult, ProblemHttpResult>> GetAsync(
        string model, int version, IQuerySession session, IBlobStore blobs, CallerScope scope, HttpResponse response, CancellationToken ct)
    {
        if (await session.LoadAsync<ModelVersion>(ModelVersion.Key(model, version), ct) is not { } found)
        {
            return Refusal.NotFound("model version", $"{model}/{version}").ToProblem();
        }

        if (found.Facts.Kind is ArtifactKind.Folder)
        {
            return new Refusal(RefusalKind.NotFound, "no-single-artifact", "This version is a folder of files.", null, "Load it with a client of MLflow.").ToProblem();
        }

        if (found.IsQuarantined)
        {
            return Refusal.Conflict("version-quarantined", $"Version {version} of '{model}' is quarantined and is not given out: {found.Facts.Intake!.Why}", null, "Mend what it says and add a new version.").ToProblem();
        }

        response.ContentLength = found.Facts.ArtifactBytes;
        var content = await blobs.OpenAsync(scope.Current.Tenant, found.Facts.ArtifactSha256, ct);
        return TypedResults.Stream(content, MediaType(found.Facts.Kind), $"{model}-{version}{Ending(found.Facts.Kind)}", entityTag: new EntityTagHeaderValue($"\"{found.Facts.ArtifactSha256}\""));
    }

    private static string Ending(ArtifactKind kind) => kind switch
    {
        ArtifactKind.MlNet => ".zip",
        ArtifactKind.Remote or ArtifactKind.Composite => ".json",
        _ => ".onnx",
    };

    private static string MediaType(ArtifactKind kind) => kind switch
    {
        ArtifactKind.MlNet => "application/zip",
        ArtifactKind.Remote or ArtifactKind.Composite => "application/json",
        _ => "application/octet-stream",
    };
}
