using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Google.Protobuf;
using Platform.Testing;
using Registry.Tests.Onnx;

namespace Registry.Tests.Models;

/// <summary>What a developer does with models, in one call each.</summary>
internal static class TestModels
{
    public const string Models = "api/v1/registry/models";

    public static async Task<JsonElement> RegisterAsync(this TestTenant tenant, string model) =>
        await (await tenant.Developer.PostAsJsonAsync(Models, new { name = model })).ShouldBeAsync(201);

    /// <summary>A model with one uploaded version.</summary>
    public static async Task<JsonElement> RegisterWithVersionAsync(this TestTenant tenant, string model)
    {
        await tenant.RegisterAsync(model);
        return await (await tenant.Developer.UploadAsync(model, SmallModel.Make().ToByteArray())).ShouldBeAsync(201);
    }

    public static Task<HttpResponseMessage> UploadAsync(this HttpClient by, string model, byte[] file, string? sha256 = null, string query = "")
    {
        var content = new ByteArrayContent(file) { Headers = { ContentType = new MediaTypeHeaderValue("application/octet-stream") } };
        if (sha256 is not null) content.Headers.Add("X-Content-SHA256", sha256);
        return by.PostAsync($"{Models}/{model}/versions{query}", content);
    }

    public static Task<HttpResponseMessage> SetAliasAsync(this HttpClient by, string model, string alias, int version) =>
        by.PutAsJsonAsync($"{Models}/{model}/aliases/{alias}", new { version });
}
