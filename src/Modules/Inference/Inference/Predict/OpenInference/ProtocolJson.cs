using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using Platform.Kernel;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>Bodies as the protocol's public clients need them: the content type is exactly <c>application/json</c>, because one of them
/// reads an error's message only then, and an error is one sentence in <c>error</c>.</summary>
internal static class ProtocolJson
{
    public static Task WriteAsync<T>(HttpContext context, int status, T body, JsonTypeInfo<T> type)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        return JsonSerializer.SerializeAsync(context.Response.Body, body, type, context.RequestAborted);
    }

    /// <summary>A small body of JSON, which may be left out; whatever content type it claims. Unknown members are passed over.</summary>
    public static async Task<Result<T?>> ReadAsync<T>(HttpContext context, long limit, JsonTypeInfo<T> type) where T : class
    {
        var body = await RequestBody.ReadAsync(context, limit);
        if (body.Refusal is { } unreadable) return unreadable;
        using (body.Value)
        {
            if (body.Value.Bytes.IsEmpty) return (T?)null;
            try
            {
                var reader = new Utf8JsonReader(body.Value.Bytes);
                return JsonSerializer.Deserialize(ref reader, type);
            }
            catch (JsonException)
            {
                return Refusal.Invalid("malformed-json", "The body is not the JSON object this route expects.", "body", "Compare it with the API reference at /docs, or leave it out.");
            }
        }
    }

    public static Task RefuseAsync(HttpContext context, Refusal refusal)
    {
        if (refusal.RetryAfter is { } after) context.Response.Headers.RetryAfter = Math.Max(1, (long)Math.Ceiling(after.TotalSeconds)).ToString();
        return WriteAsync(context, Problems.Status(refusal.Kind), new ProtocolError($"{refusal.Detail} {refusal.Mend}".TrimEnd()), ProtocolJsonContext.Default.ProtocolError);
    }
}

internal sealed record ProtocolError(string Error);

internal sealed record ServerHealth(bool Live, bool Ready, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Error = null);

internal sealed record ServerDescription(string Name, string Version, IReadOnlyList<string> Extensions);

internal sealed record ModelHealth(string Name, bool Ready);

internal sealed record ModelDescription(string Name, IReadOnlyList<string> Versions, string Platform, IReadOnlyList<TensorDescription> Inputs, IReadOnlyList<TensorDescription> Outputs);

internal sealed record TensorDescription(string Name, string Datatype, IReadOnlyList<long> Shape);

internal sealed record ModelNames(IReadOnlyList<string> Models);

internal sealed record IndexedModel(string Name, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Version, string State, string Reason);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(ProtocolError))]
[JsonSerializable(typeof(ServerHealth))]
[JsonSerializable(typeof(ServerDescription))]
[JsonSerializable(typeof(ModelHealth))]
[JsonSerializable(typeof(ModelDescription))]
[JsonSerializable(typeof(ModelNames))]
[JsonSerializable(typeof(IReadOnlyList<IndexedModel>), TypeInfoPropertyName = "Index")]
[JsonSerializable(typeof(RepositoryIndex.Request), TypeInfoPropertyName = "IndexRequest")]
[JsonSerializable(typeof(RepositoryModelLoad.Request), TypeInfoPropertyName = "LoadRequest")]
[JsonSerializable(typeof(Done))]
[JsonSerializable(typeof(StatisticsOfModels))]
[JsonSerializable(typeof(ConfigOfModel))]
internal sealed partial class ProtocolJsonContext : JsonSerializerContext;
