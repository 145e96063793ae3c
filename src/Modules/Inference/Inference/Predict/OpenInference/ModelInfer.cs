using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Platform.Kernel;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>Predicts with tensors, as any client of the Open Inference Protocol does; limits, journal and billing are those of every other prediction.</summary>
internal static class ModelInfer
{
    /// <summary>The request as documented; it is read at the level of bytes and never made into this.</summary>
    internal sealed record Request(string? Id, object? Parameters, IReadOnlyList<InputTensor> Inputs, IReadOnlyList<RequestedOutput>? Outputs);

    /// <param name="Shape">The batch is the first dimension.</param>
    /// <param name="Data">Row-major, nested or flat; absent when <c>parameters.binary_data_size</c> says how many bytes behind the JSON are this input's.</param>
    internal sealed record InputTensor(string Name, IReadOnlyList<long> Shape, string Datatype, object? Data, object? Parameters);

    internal sealed record RequestedOutput(string Name, object? Parameters);

    internal sealed record Response(string ModelName, string ModelVersion, string? Id, object Parameters, IReadOnlyList<OutputTensor> Outputs);

    internal sealed record OutputTensor(string Name, IReadOnlyList<long> Shape, string Datatype, object? Parameters, IReadOnlyList<object>? Data);

    internal static void Map(IEndpointRouteBuilder routes)
    {
        var predictor = routes.ServiceProvider.GetRequiredService<Predictor>();
        var tensors = routes.ServiceProvider.GetRequiredService<Tensors>();
        routes.MapPost($"{ProtocolRoutes.Model}/infer", Post).WithName(nameof(ModelInfer)).Describe();
        routes.MapPost($"{ProtocolRoutes.Version}/infer", PostVersion).WithName(nameof(ModelVersionInfer)).Describe();

        Task Post(string endpoint, HttpContext context) => predictor.AnswerAsync(context, endpoint, tensors);

        Task PostVersion(string endpoint, string version, HttpContext context)
        {
            var found = ProtocolRoutes.Find(predictor.Table, context, endpoint, version);
            return found.Refusal is { } refusal ? tensors.RefuseAsync(context, refusal) : predictor.AnswerAsync(context, context.Features.Get<Caller>()!, found.Value, tensors);
        }
    }

    private static RouteHandlerBuilder Describe(this RouteHandlerBuilder route) => route.Needs(Permissions.Predict).WithMetadata(new NeedsNothingAround())
        .WithSummary("Predict with tensors (Open Inference Protocol)")
        .WithDescription("With the header `Inference-Header-Content-Length`, the body is so many bytes of JSON and then the bytes of those inputs that have a `binary_data_size`; with 0 it is the bytes of the only input. "
            + "Outputs come as bytes where `binary_data` (or `binary_data_output` for all) asks for it. Bodies may be packed with gzip or deflate.")
        .Accepts<Request>("application/json", "*/*").Produces<Response>().Refuses().Produces<ProtocolError>(StatusCodes.Status422UnprocessableEntity);
}

/// <summary><see cref="ModelInfer"/> with the version or alias in the address: refused unless that is what the endpoint serves now.</summary>
internal static class ModelVersionInfer;
