using System.Buffers;
using System.Globalization;
using System.Text.Json;
using System.Text.Unicode;
using Microsoft.AspNetCore.Http;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>The Open Inference Protocol's dialect over REST: tensors in, tensors out, each as JSON or as bytes behind it.</summary>
internal sealed class Tensors : Dialect
{
    /// <summary>How long the JSON at the start of a body is; the rest are tensors' bytes. Without it, the body is JSON only.</summary>
    private const string HeaderLength = "Inference-Header-Content-Length";

    /// <summary>The largest tensor that the journal keeps as numbers to read. A larger one is kept as its bytes, which take a fraction of the time and the room,
    /// so that one large call does not hold up everybody's rows.</summary>
    private const int LargestReadable = 16 << 10;

    private const int LargestAnswer = 64 << 20;

    public override string Name => "v2";

    public override Refusal? Read(IHeaderDictionary? headers, ReadOnlySpan<byte> body, PredictionWork work)
    {
        if (ReadTensors(headers, body, work) is { } refusal) return refusal;
        WriteInputs(work);
        // A page shows JSON whatever the text on it asks for.
        if (headers is null) work.Binary = [];
        return null;
    }

    public override ValueTask<Refusal?> EnrichAsync(PredictionWork work, CancellationToken ct) => new((Refusal?)null);

    public override Refusal? Judge(PredictionWork work) => WriteOutputs(work);

    public override void Answer(PredictionWork work, Guid id)
    {
        var json = work.Json;
        json.Reset(work.Answer);
        json.WriteStartObject();
        json.WriteString("model_name"u8, work.Plan.Terms.Endpoint);
        json.WriteString("model_version"u8, work.Plan.Version.Version.ToString(CultureInfo.InvariantCulture));
        if (work.RequestId is { } given) json.WriteString("id"u8, given);
        json.WriteStartObject("parameters"u8);
        json.WriteString("prediction_id"u8, id);
        json.WriteEndObject();
        json.WriteStartArray("outputs"u8);
        for (var i = 0; i < work.Wanted.Length; i++) Write(json, work.Tensors.Outputs[work.Wanted[i]], IsBinary(work, i) ? Form.Behind : Form.Values);
        json.WriteEndArray();
        json.WriteEndObject();
        json.Flush();
    }

    public override Task SendAsync(HttpContext context, PredictionWork work)
    {
        if (work.Binary.Length == 0) return base.SendAsync(context, work);
        var header = work.Answer.WrittenCount;
        List<(int Start, int Length, Tensor? Tensor)> parts = [(0, header, null)];
        for (var i = 0; i < work.Wanted.Length; i++)
        {
            if (!IsBinary(work, i)) continue;
            var output = work.Tensors.Outputs[work.Wanted[i]];
            var start = work.Answer.WrittenCount;
            // Only texts are copied together first; numbers are sent from where the model wrote them.
            if (output.IsText) TensorBytes.Write(work.Answer, output);
            parts.Add((start, work.Answer.WrittenCount - start, output.IsText ? null : output));
        }
        context.Response.Headers[HeaderLength] = header.ToString(CultureInfo.InvariantCulture);
        var written = work.Answer.WrittenMemory;
        return ResponseBody.SendAsync(context, [.. parts.Select(part => part.Tensor?.RawMemory ?? written.Slice(part.Start, part.Length))]);
    }

    public override Task RefuseAsync(HttpContext context, Refusal refusal) => ProtocolJson.RefuseAsync(context, refusal);

    /// <summary>Writes the journal's fields <c>inputs</c> and <c>features</c>, the same for every way tensors come: small ones as <c>data</c>, large ones as <c>raw</c>.</summary>
    public static void WriteInputs(PredictionWork work)
    {
        var (entry, json) = (work.Entry!, work.Json);
        var mark = entry.Open();
        json.Reset(entry);
        json.WriteStartArray();
        foreach (var input in work.Tensors.Inputs) Write(json, input, Kept(input));
        json.WriteEndArray();
        json.Flush();
        entry.Close(mark);
        entry.Null();
    }

    /// <summary>Writes the journal's fields <c>outputs</c> and <c>intervals</c>; refuses what is more than a row can hold.</summary>
    public static Refusal? WriteOutputs(PredictionWork work)
    {
        long length = 0;
        foreach (var index in work.Wanted) length += TensorBytes.Length(work.Tensors.Outputs[index]);
        if (length > LargestAnswer)
            return new Refusal(RefusalKind.TooLarge, "answer-too-large", $"The answer's tensors are {length:N0} bytes; at most {LargestAnswer:N0} can be answered and written down.", "outputs", "Ask for fewer outputs, or send fewer rows a call.");
        var (entry, json) = (work.Entry!, work.Json);
        var mark = entry.Open();
        json.Reset(entry);
        json.WriteStartArray();
        foreach (var index in work.Wanted) Write(json, work.Tensors.Outputs[index], Kept(work.Tensors.Outputs[index]));
        json.WriteEndArray();
        json.Flush();
        entry.Close(mark);
        entry.Null();
        return null;
    }

    private static Refusal? ReadTensors(IHeaderDictionary? headers, ReadOnlySpan<byte> body, PredictionWork work)
    {
        if (headers is null || !headers.TryGetValue(HeaderLength, out var told)) return InferRequest.Read(body, [], work);
        if (!int.TryParse(told, NumberStyles.None, CultureInfo.InvariantCulture, out var length) || length > body.Length)
            return Refusal.Invalid("bad-header", $"{HeaderLength} is '{GivenInputs.Short(told.ToString())}', which is no length of JSON in a body of {body.Length:N0} bytes.", HeaderLength,
                "Send the length of the JSON at the body's start, in bytes before any packing; 0 when there is none.");
        return length == 0 ? InferRequest.ReadRaw(body, work) : InferRequest.Read(body[..length], body[length..], work);
    }

    private static bool IsBinary(PredictionWork work, int wanted) => work.Binary.Length > 0 && work.Binary[wanted];

    /// <summary>Numbers are kept as their bytes, which costs a tenth of writing them out and gives the very same bits back; whoever reads the journal sees
    /// values again (<see cref="Predictions.KeptTensors"/>). Texts are kept as texts unless there are many, or one is not UTF-8, which JSON could not give back.</summary>
    private static Form Kept(Tensor tensor)
    {
        if (!tensor.IsText) return tensor.Count > 1 ? Form.Raw : Form.Values;
        if (TensorBytes.Length(tensor) > LargestReadable) return Form.Raw;
        for (var i = 0; i < tensor.Count; i++)
        {
            if (!Utf8.IsValid(tensor.Text(i))) return Form.Raw;
        }
        return Form.Values;
    }

    private static void Write(Utf8JsonWriter json, Tensor tensor, Form form)
    {
        json.WriteStartObject();
        json.WriteString("name"u8, tensor.Layout.Name);
        json.WriteStartArray("shape"u8);
        foreach (var size in tensor.Shape) json.WriteNumberValue(size);
        json.WriteEndArray();
        json.WriteString("datatype"u8, tensor.Layout.Datatype.Name());
        switch (form)
        {
            case Form.Behind:
                json.WriteStartObject("parameters"u8);
                json.WriteNumber("binary_data_size"u8, TensorBytes.Length(tensor));
                json.WriteEndObject();
                break;
            case Form.Raw when tensor.IsText:
                var texts = new ArrayBufferWriter<byte>(TensorBytes.Length(tensor) + 1);
                TensorBytes.Write(texts, tensor);
                json.WriteBase64String("raw"u8, texts.WrittenSpan);
                break;
            case Form.Raw:
                json.WriteBase64String("raw"u8, tensor.Raw);
                break;
            default:
                json.WriteStartArray("data"u8);
                TensorJson.Write(json, tensor, 0, tensor.Count);
                json.WriteEndArray();
                break;
        }
        json.WriteEndObject();
    }

    /// <summary>How a tensor's values stand in JSON.</summary>
    private enum Form
    {
        /// <summary>As values in <c>data</c>.</summary>
        Values,
        /// <summary>As so many bytes behind the JSON.</summary>
        Behind,
        /// <summary>As those bytes in <c>raw</c>, in base64.</summary>
        Raw,
    }
}
