using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Platform.Kernel;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>Whether an endpoint would answer now. A model that was unloaded to make room is ready: the next request loads it.</summary>
internal static class ModelReady
{
    internal static void Map(IEndpointRouteBuilder routes)
    {
        var table = routes.ServiceProvider.GetRequiredService<ServingTable>();
        routes.MapGet($"{ProtocolRoutes.Model}/ready", (string endpoint, HttpContext context) => AnswerAsync(table, context, endpoint, null)).WithName(nameof(ModelReady)).Describe();
        routes.MapGet($"{ProtocolRoutes.Version}/ready", (string endpoint, string version, HttpContext context) => AnswerAsync(table, context, endpoint, version)).WithName(nameof(ModelVersionReady)).Describe();
    }

    private static Task AnswerAsync(ServingTable table, HttpContext context, string endpoint, string? version)
    {
        var found = ProtocolRoutes.Find(table, context, endpoint, version);
        if ((found.Refusal ?? found.Value.Model.Failure) is { } refusal) return ProtocolJson.RefuseAsync(context, refusal);
        return ProtocolJson.WriteAsync(context, StatusCodes.Status200OK, new ModelHealth(endpoint, Ready: true), ProtocolJsonContext.Default.ModelHealth);
    }

    private static RouteHandlerBuilder Describe(this RouteHandlerBuilder route) => route.Needs(Permissions.Predict)
        .WithSummary("Ask whether a model is ready (Open Inference Protocol)").Produces<ModelHealth>().Refuses();
}

/// <summary><see cref="ModelReady"/> with the version or alias in the address.</summary>
internal static class ModelVersionReady;
