using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>The Open Inference Protocol's dialect: tensors in, tensors out.</summary>
internal sealed class Tensors : Dialect
{
    public override string Name => "v2";

    public override Refusal? Read(IHeaderDictionary? headers, ReadOnlySpan<byte> body, PredictionWork work)
    {
        if (headers?.ContainsKey("Inference-Header-Content-Length") is true)
            return new Refusal(RefusalKind.Unsupported, "binary-tensors", "Binary tensors cannot be read here yet.", "Inference-Header-Content-Length", "Send the tensors' data as JSON.");
        if (InferRequest.Read(body, work) is { } refusal) return refusal;
        var (entry, json) = (work.Entry!, work.Json);
        var mark = entry.Open();
        json.Reset(entry);
        json.WriteStartArray();
        foreach (var input in work.Tensors.Inputs) Write(json, input);
        json.WriteEndArray();
        json.Flush();
        entry.Close(mark);
        entry.Null();
        return null;
    }

    public override ValueTask<Refusal?> EnrichAsync(PredictionWork work, CancellationToken ct) => new((Refusal?)null);

    public override Refusal? Judge(PredictionWork work)
    {
        var (entry, json) = (work.Entry!, work.Json);
        var mark = entry.Open();
        json.Reset(entry);
        json.WriteStartArray();
        foreach (var index in work.Wanted) Write(json, work.Tensors.Outputs[index]);
        json.WriteEndArray();
        json.Flush();
        entry.Close(mark);
        entry.Null();
        return null;
    }

    public override void Answer(PredictionWork work, Guid id)
    {
        var json = work.Json;
        json.Reset(work.Answer);
        json.WriteStartObject();
        json.WriteString("model_name"u8, work.Plan.Terms.Endpoint);
        json.WriteString("model_version"u8, work.Plan.Version.Version.ToString());
        if (work.RequestId is { } given) json.WriteString("id"u8, given);
        json.WriteStartObject("parameters"u8);
        json.WriteString("prediction_id"u8, id);
        json.WriteEndObject();
        json.WriteStartArray("outputs"u8);
        foreach (var index in work.Wanted) Write(json, work.Tensors.Outputs[index]);
        json.WriteEndArray();
        json.WriteEndObject();
        json.Flush();
    }

    public override Task RefuseAsync(HttpContext context, Refusal refusal) => ProtocolJson.RefuseAsync(context, refusal);

    private static void Write(Utf8JsonWriter json, Tensor tensor)
    {
        json.WriteStartObject();
        json.WriteString("name"u8, tensor.Layout.Name);
        json.WriteStartArray("shape"u8);
        foreach (var size in tensor.Shape) json.WriteNumberValue(size);
        json.WriteEndArray();
        json.WriteString("datatype"u8, tensor.Layout.Datatype.Name());
        json.WriteStartArray("data"u8);
        TensorJson.Write(json, tensor, 0, tensor.Count);
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
