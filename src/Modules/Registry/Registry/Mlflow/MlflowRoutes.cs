using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;

namespace Platform.Registry.Mlflow;

/// <summary>MLflow's REST API, so that <c>MLFLOW_TRACKING_URI=http://host/mlflow</c> is all a user of its clients changes. Each file here is a family of
/// addresses with its route table at the top; what is served and what differs is in docs/mlflow.md.</summary>
internal static class MlflowRoutes
{
    /// <summary>One operation: what it answers is written as JSON, null as an empty object.</summary>
    internal delegate Task<Result<object?>> Operation(MlflowCall call);

    public static void Map(IEndpointRouteBuilder root)
    {
        // Clients call the first, pages in a browser the second.
        foreach (var prefix in (string[])["mlflow/api/2.0", "mlflow/ajax-api/2.0"])
        {
            var routes = new Table(root.MapGroup(prefix), prefix.EndsWith("/api/2.0", StringComparison.Ordinal));
            ExperimentRoutes.Map(routes);
            RunRoutes.Map(routes);
            LogRoutes.Map(routes);
            MetricRoutes.Map(routes);
            LoggedModelRoutes.Map(routes);
            ArtifactRoutes.Map(routes);
            RegisteredModelRoutes.Map(routes);
            ModelVersionRoutes.Map(routes);
            WebhookRoutes.Map(routes);
            UploadRoutes.Map(routes);
            ServerRoutes.Map(routes);
        }

        UploadRoutes.MapParts(root);
        ServerRoutes.Map(root);
        root.Map("mlflow/{**rest}", (HttpContext context) => MlflowRefusals.WriteAsync(context, new Refusal(RefusalKind.NotFound, "ENDPOINT_NOT_FOUND",
                $"There is no {context.Request.Method} {context.Request.Path} here; docs/mlflow.md lists what is served.")))
            .WithName("UnknownMlflowRoute").IsOpen("It says only that there is nothing.").ExcludeFromDescription();
    }

    /// <summary>The routes of one prefix.</summary>
    internal sealed class Table(IEndpointRouteBuilder routes, bool described)
    {
        public void Get(string path, string permission, string summary, Operation operation) => Add(HttpMethods.Get, path, permission, summary, operation);

        public void Post(string path, string permission, string summary, Operation operation) => Add(HttpMethods.Post, path, permission, summary, operation);

        public void Patch(string path, string permission, string summary, Operation operation) => Add(HttpMethods.Patch, path, permission, summary, operation);

        public void Delete(string path, string permission, string summary, Operation operation) => Add(HttpMethods.Delete, path, permission, summary, operation);

        /// <summary>A route that reads its body itself, and answers itself where it has no refusal.</summary>
        public void Raw(string method, string path, string permission, string summary, Func<HttpContext, Task<Refusal?>> operation) =>
            Add(method, path, permission, summary, async context =>
            {
                if (await operation(context) is { } refusal) await MlflowRefusals.WriteAsync(context, refusal);
            });

        private void Add(string method, string path, string permission, string summary, Operation operation) =>
            Add(method, path, permission, summary, async context =>
            {
                var opened = await MlflowCall.OpenAsync(context);
                if (opened.Refusal is { } unreadable)
                {
                    await MlflowRefusals.WriteAsync(context, unreadable);
                    return;
                }

                using var call = opened.Value;
                var result = await operation(call);
                // What is wrong with a value is found when it is read; the operation looks before it acts, and may not have read on.
                if (result.Refusal is { } refusal) await MlflowRefusals.WriteAsync(context, refusal);
                else await context.Response.WriteAsJsonAsync(result.ValueOrDefault ?? new object(), MlflowJson.Options, context.RequestAborted);
            });

        private void Add(string method, string path, string permission, string summary, RequestDelegate handle)
        {
            var route = routes.MapMethods(path, [method], (Delegate)handle).Needs(permission).WithSummary($"{summary} (MLflow)");
            if (!described) route.ExcludeFromDescription();
        }
    }
}
