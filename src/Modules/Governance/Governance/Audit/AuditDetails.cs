using System.Text.Json;
using System.Text.Json.Nodes;

namespace Platform.Governance.Audit;

/// <summary>An event for a person to read: without hashes of keys, and without texts and lists that would fill the screen.</summary>
internal static class AuditDetails
{
    private const int LongestText = 300;
    private const int LongestList = 20;
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    public static JsonElement Of(object data) => JsonSerializer.SerializeToElement(Shortened(JsonSerializer.SerializeToNode(data, data.GetType(), Json)));

    private static JsonNode? Shortened(JsonNode? node) => node switch
    {
        JsonObject o => new JsonObject(o.Where(p => p.Key != "sha256").Select(p => KeyValuePair.Create(p.Key, Shortened(p.Value)))),
        JsonArray { Count: > LongestList } a => $"{a.Count} items",
        JsonArray a => new JsonArray([.. a.Select(Shortened)]),
        JsonValue v when v.TryGetValue<string>(out var text) && text.Length > LongestText => $"{text[..LongestText]}…",
        _ => node?.DeepClone(),
    };
}
