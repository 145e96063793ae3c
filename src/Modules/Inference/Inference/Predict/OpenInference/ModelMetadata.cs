using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;
using Platform.Registry.Contracts;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>Which tensors an endpoint takes and gives, so that a client can shape its request.</summary>
internal static class ModelMetadata
{
    internal static void Map(IEndpointRouteBuilder routes)
    {
        var table = routes.ServiceProvider.GetRequiredService<ServingTable>();
        routes.MapGet(ProtocolRoutes.Model, (string endpoint, HttpContext context) => AnswerAsync(table, context, endpoint, null)).WithName(nameof(ModelMetadata)).Describe();
        routes.MapGet(ProtocolRoutes.Version, (string endpoint, string version, HttpContext context) => AnswerAsync(table, context, endpoint, version)).WithName(nameof(ModelVersionMetadata)).Describe();
    }

    private static Task AnswerAsync(ServingTable table, HttpContext context, string endpoint, string? version)
    {
        var found = ProtocolRoutes.Find(table, context, endpoint, version);
        if (found.Refusal is { } refusal) return ProtocolJson.RefuseAsync(context, refusal);
        return ProtocolJson.WriteAsync(context, StatusCodes.Status200OK, Of(found.Value), ProtocolJsonContext.Default.ModelDescription);
    }

    public static ModelDescription Of(ServingPlan plan) =>
        new(plan.Terms.Endpoint, [plan.Version.Version.ToString()], Platform(plan.Version.Kind), [.. plan.Inputs.Select(Describe)], [.. plan.Outputs.Select(Describe)]);

    /// <summary>For an ONNX file what clients know it by, after the protocol's own examples; for anything else the same form with what it is.</summary>
    public static string Platform(ArtifactKind kind) => kind switch
    {
        ArtifactKind.Onnx => "onnx_onnxv1",
        ArtifactKind.MlNet => "mlnet_zip",
        ArtifactKind.Remote => "openinference_remote",
        ArtifactKind.Composite => "ensemble",
        _ => throw new InvalidOperationException($"{kind} is not served."),
    };

    private static TensorDescription Describe(TensorLayout layout) => new(layout.Name, layout.Datatype.Name(), layout.Shape);

    private static RouteHandlerBuilder Describe(this RouteHandlerBuilder route) => route.Needs(Permissions.Predict)
        .WithSummary("Describe a model (Open Inference Protocol)").Produces<ModelDescription>().Refuses();
}

/// <summary><see cref="ModelMetadata"/> with the version or alias in the address.</summary>
internal static class ModelVersionMetadata;
