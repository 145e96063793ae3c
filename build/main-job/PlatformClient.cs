using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Platform.MainJob;

/// <summary>The platform's public API as one caller; a refusal becomes a sentence.</summary>
internal sealed class PlatformClient(Uri address, string key) : IDisposable
{
    private readonly HttpClient http = new()
    {
        BaseAddress = address,
        Timeout = TimeSpan.FromMinutes(10),
        DefaultRequestHeaders = { Authorization = new AuthenticationHeaderValue("Bearer", key) },
    };

    public Task<JsonNode> GetAsync(string path) => SendAsync(HttpMethod.Get, path, null);

    public Task<JsonNode> PostAsync(string path, object body) => SendAsync(HttpMethod.Post, path, JsonContent.Create(body));

    public Task<JsonNode> PutAsync(string path, object body) => SendAsync(HttpMethod.Put, path, JsonContent.Create(body));

    public Task<JsonNode> PostCsvAsync(string path, byte[] csv) =>
        SendAsync(HttpMethod.Post, path, new ByteArrayContent(csv) { Headers = { ContentType = new MediaTypeHeaderValue("text/csv") } });

    public void Dispose() => http.Dispose();

    private async Task<JsonNode> SendAsync(HttpMethod method, string path, HttpContent? content)
    {
        using var request = new HttpRequestMessage(method, path) { Content = content };
        using var answer = await http.SendAsync(request);
        var body = await answer.Content.ReadAsStringAsync();
        if (answer.IsSuccessStatusCode) return body.Length == 0 ? new JsonObject() : JsonNode.Parse(body)!;
        throw new MainJobException($"{method} {path} was refused ({(int)answer.StatusCode}): {Sentence(body)}");
    }

    private static string Sentence(string body)
    {
        try
        {
            var problem = JsonNode.Parse(body);
            return $"{problem?["detail"]} {problem?["mend"]}".Trim();
        }
        catch (JsonException)
        {
            return body;
        }
    }
}
