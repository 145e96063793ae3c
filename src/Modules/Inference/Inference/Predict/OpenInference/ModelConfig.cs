using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;
using Platform.Registry.Contracts;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>An endpoint in the shape of Triton's model configuration, which load generators read before they begin. Shapes are whole, the batch
/// included, which in that shape is a largest batch of 0.</summary>
internal static class ModelConfig
{
    internal static void Map(IEndpointRouteBuilder routes)
    {
        var table = routes.ServiceProvider.GetRequiredService<ServingTable>();
        routes.MapGet($"{ProtocolRoutes.Model}/config", (string endpoint, HttpContext context) => AnswerAsync(table, context, endpoint, null)).WithName(nameof(ModelConfig)).Describe();
        routes.MapGet($"{ProtocolRoutes.Version}/config", (string endpoint, string version, HttpContext context) => AnswerAsync(table, context, endpoint, version)).WithName(nameof(ModelVersionConfig)).Describe();
    }

    public static ConfigOfModel Of(ServingPlan plan) => new(plan.Terms.Endpoint, Platform(plan.Version.Kind), Backend(plan.Version.Kind), new(new VersionsServed([plan.Version.Version])), 0,
        [.. plan.Inputs.Select(Of)], [.. plan.Outputs.Select(Of)]);

    /// <summary>Triton's own names where it has one: for an ONNX file and for what is made of other models, which has no backend there.</summary>
    private static string Platform(ArtifactKind kind) => kind is ArtifactKind.Onnx ? "onnxruntime_onnx" : ModelMetadata.Platform(kind);

    private static string Backend(ArtifactKind kind) => kind switch { ArtifactKind.Onnx => "onnxruntime", ArtifactKind.MlNet => "mlnet", ArtifactKind.Remote => "openinference", _ => "" };

    private static Task AnswerAsync(ServingTable table, HttpContext context, string endpoint, string? version)
    {
        var found = ProtocolRoutes.Find(table, context, endpoint, version);
        return found.Refusal is { } refusal ? ProtocolJson.RefuseAsync(context, refusal)
            : ProtocolJson.WriteAsync(context, StatusCodes.Status200OK, Of(found.Value), ProtocolJsonContext.Default.ConfigOfModel);
    }

    private static ConfigOfTensor Of(TensorLayout layout) =>
        new(layout.Name, layout.Datatype is Datatype.Bytes ? "TYPE_STRING" : "TYPE_" + layout.Datatype.Name(), layout.Shape);

    private static RouteHandlerBuilder Describe(this RouteHandlerBuilder route) => route.Needs(Permissions.Predict)
        .WithSummary("Describe a model as Triton configures it (model configuration extension)").Produces<ConfigOfModel>().Refuses();
}

/// <summary><see cref="ModelConfig"/> with the version or alias in the address.</summary>
internal static class ModelVersionConfig;

internal sealed record ConfigOfModel(
    string Name, string Platform, string Backend, VersionPolicy VersionPolicy, int MaxBatchSize, IReadOnlyList<ConfigOfTensor> Input, IReadOnlyList<ConfigOfTensor> Output);

internal sealed record VersionPolicy(VersionsServed Specific);

internal sealed record VersionsServed(IReadOnlyList<int> Versions);

internal sealed record ConfigOfTensor(string Name, string DataType, IReadOnlyList<long> Dims);
