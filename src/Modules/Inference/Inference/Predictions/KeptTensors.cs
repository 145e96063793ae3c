using System.Text.Json;
using Platform.Inference.Predict;
using Platform.Inference.Predict.Runtimes;

namespace Platform.Inference.Predictions;

/// <summary>Tensors of the journal as a person reads them: numbers that were kept as bytes (<c>raw</c>) become values (<c>data</c>) again, up to a size.
/// Larger ones stay as they are, in base64.</summary>
internal static class KeptTensors
{
    private const int LargestReadable = 16 << 10;

    public static JsonElement Readable(JsonElement kept)
    {
        if (kept.ValueKind is not JsonValueKind.Array || !kept.EnumerateArray().Any(IsRaw)) return kept;
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartArray();
            foreach (var tensor in kept.EnumerateArray())
            {
                if (IsRaw(tensor)) Write(json, tensor);
                else tensor.WriteTo(json);
            }
            json.WriteEndArray();
        }
        buffer.Position = 0;
        using var document = JsonDocument.Parse(buffer);
        return document.RootElement.Clone();
    }

    private static bool IsRaw(JsonElement tensor) =>
        tensor.ValueKind is JsonValueKind.Object && tensor.TryGetProperty("raw", out var raw) && raw.GetString()!.Length <= LargestReadable * 4 / 3
        && Datatypes.Parse(tensor.GetProperty("datatype").GetString()!) is { } type and not Datatype.Bytes && raw.GetBytesFromBase64().Length % type.Size() == 0;

    private static void Write(Utf8JsonWriter json, JsonElement kept)
    {
        var (type, bytes) = (Datatypes.Parse(kept.GetProperty("datatype").GetString()!)!.Value, kept.GetProperty("raw").GetBytesFromBase64());
        using var tensor = new Tensor(new TensorLayout(kept.GetProperty("name").GetString()!, type, [-1]));
        tensor.Resize(bytes.Length / type.Size());
        bytes.CopyTo(tensor.Raw);
        json.WriteStartObject();
        foreach (var member in kept.EnumerateObject().Where(member => member.Name != "raw")) member.WriteTo(json);
        json.WriteStartArray("data");
        TensorJson.Write(json, tensor, 0, tensor.Count);
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
