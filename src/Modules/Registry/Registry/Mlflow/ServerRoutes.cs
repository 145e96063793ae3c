using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;

namespace Platform.Registry.Mlflow;

/// <summary>What clients of MLflow 3 ask about the server itself, and what they are told where something is not offered, in the words at which they go another way.</summary>
internal static class ServerRoutes
{
    /// <summary>Under version 3 of the API, where clients look for it.</summary>
    internal static void Map(IEndpointRouteBuilder root)
    {
        foreach (var prefix in (string[])["mlflow/api/3.0", "mlflow/ajax-api/3.0"])
        {
            // A tenant is what a workspace would be, and the key says which.
            root.MapGet($"{prefix}/mlflow/server-info", (HttpContext context) => context.Response.WriteAsJsonAsync(new { StoreType = "SqlStore", WorkspacesEnabled = false }, MlflowJson.Options, context.RequestAborted))
                .Needs(Permissions.ReadRuns).ExcludeFromDescription();
            root.MapMethods($"{prefix}/mlflow/workspaces/{{**rest}}", [HttpMethods.Get, HttpMethods.Post, HttpMethods.Patch, HttpMethods.Delete], (HttpContext context) => MlflowRefusals.WriteAsync(context, NoWorkspaces))
                .Needs(Permissions.ReadRuns).ExcludeFromDescription();
        }
    }

    internal static void Map(MlflowRoutes.Table routes)
    {
        routes.Raw(HttpMethods.Get, "mlflow-artifacts/presigned/{**path}", Permissions.ReadRuns, "Get an address to download from elsewhere", _ => Task.FromResult<Refusal?>(NotPresigned("download")));
        routes.Raw(HttpMethods.Post, "mlflow/artifacts/presigned-download-url", Permissions.ReadRuns, "Get an address to download from elsewhere", _ => Task.FromResult<Refusal?>(NotPresigned("download")));
        routes.Raw(HttpMethods.Post, "mlflow/artifacts/presigned-upload-url", Permissions.WriteRuns, "Get an address to upload to elsewhere", _ => Task.FromResult<Refusal?>(NotPresigned("upload")));
    }

    /// <summary>Clients that read this download or upload through the server.</summary>
    private static Refusal NotPresigned(string what) =>
        new(RefusalKind.Unsupported, "NOT_IMPLEMENTED", $"Multipart {what} is not supported for the current artifact repository: files pass through this server, in parts where you like (ranges, mpu).");

    private static readonly Refusal NoWorkspaces = new(RefusalKind.Invalid, "FEATURE_DISABLED", "Workspaces are not enabled on this server: a key's tenant is its workspace.");
}
