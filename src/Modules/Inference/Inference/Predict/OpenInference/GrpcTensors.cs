using Microsoft.AspNetCore.Http;
using Platform.Kernel;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>The Open Inference Protocol's dialect over gRPC. Its request is read, and its answer written, by <see cref="GrpcInference"/>.</summary>
internal sealed class GrpcTensors : Dialect
{
    public override string Name => "v2-grpc";

    public override Refusal? Read(IHeaderDictionary? headers, ReadOnlySpan<byte> body, PredictionWork work)
    {
        if (InferMessage.Read(body, work) is { } refusal) return refusal;
        Tensors.WriteInputs(work);
        return null;
    }

    public override ValueTask<Refusal?> EnrichAsync(PredictionWork work, CancellationToken ct) => new((Refusal?)null);

    public override Refusal? Judge(PredictionWork work) => Tensors.WriteOutputs(work);

    public override void Answer(PredictionWork work, Guid id) => work.Id = id;

    public override Task RefuseAsync(HttpContext context, Refusal refusal) => GrpcRefusals.WriteAsync(context, refusal);
}
