using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>Which tensors an endpoint takes and gives, so that a client can shape its request.</summary>
internal static class ModelMetadata
{
    internal static void Map(IEndpointRouteBuilder routes)
    {
        var predictor = routes.ServiceProvider.GetRequiredService<Predictor>();
        routes.MapGet(ProtocolRoutes.Model, (string endpoint, HttpContext context) => AnswerAsync(predictor, context, endpoint, null)).WithName(nameof(ModelMetadata)).Describe();
        routes.MapGet(ProtocolRoutes.Version, (string endpoint, string version, HttpContext context) => AnswerAsync(predictor, context, endpoint, version)).WithName(nameof(ModelVersionMetadata)).Describe();
    }

    private static Task AnswerAsync(Predictor predictor, HttpContext context, string endpoint, string? version)
    {
        var found = ProtocolRoutes.Find(predictor, context, endpoint, version);
        if (found.Refusal is { } refusal) return ProtocolJson.RefuseAsync(context, refusal);
        var plan = found.Value;
        var description = new ModelDescription(endpoint, [plan.Version.Version.ToString()], "onnx_onnxv1", [.. plan.Inputs.Select(Describe)], [.. plan.Outputs.Select(Describe)]);
        return ProtocolJson.WriteAsync(context, StatusCodes.Status200OK, description, ProtocolJsonContext.Default.ModelDescription);
    }

    private static TensorDescription Describe(TensorLayout layout) => new(layout.Name, layout.Datatype.Name(), layout.Shape);

    private static RouteHandlerBuilder Describe(this RouteHandlerBuilder route) => route.Needs(Permissions.Predict)
        .WithSummary("Describe a model (Open Inference Protocol)").Produces<ModelDescription>().Refuses();
}

/// <summary><see cref="ModelMetadata"/> with the version or alias in the address.</summary>
internal static class ModelVersionMetadata;
