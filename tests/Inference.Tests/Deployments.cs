using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Platform.Testing;

namespace Inference.Tests;

/// <summary>What a developer does to have an endpoint, and to ask it, in one call each.</summary>
internal static class Deployments
{
    public const string Endpoints = "api/v1/inference/endpoints";

    /// <summary>A request that the model of <see cref="OnnxFiles.Houses"/> answers with 102.</summary>
    public const string Row = """{"inputs": {"size": 1, "city": "north", "sold": 0}}""";

    /// <summary>A registered model with the file as its next version; answers the version's number.</summary>
    public static async Task<int> UploadAsync(this TestTenant tenant, string model, byte[] file)
    {
        using var registered = await tenant.Developer.PostAsJsonAsync("api/v1/registry/models", new { name = model });
        if ((int)registered.StatusCode != 409) await registered.ShouldBeAsync(201);
        var content = new ByteArrayContent(file) { Headers = { ContentType = new MediaTypeHeaderValue("application/octet-stream") } };
        using var uploaded = await tenant.Developer.PostAsync($"api/v1/registry/models/{model}/versions", content);
        return (await uploaded.ShouldBeAsync(201)).GetProperty("version").GetInt32();
    }

    public static async Task PointAsync(this TestTenant tenant, string model, string alias, int version) =>
        await (await tenant.Developer.PutAsJsonAsync($"api/v1/registry/models/{model}/aliases/{alias}", new { version })).ShouldBeAsync(200);

    public static Task<HttpResponseMessage> DeployAsync(this TestTenant tenant, string name, string model, string alias, string journalMode = "durable") =>
        tenant.Developer.PostAsJsonAsync(Endpoints, new { name, model, alias, journalMode });

    /// <summary>An endpoint of the name over a fresh model of the name, following the alias "live".</summary>
    public static async Task<TestTenant> WithEndpointAsync(this Task<TestTenant> making, byte[] file, string name = "houses", string journalMode = "durable")
    {
        var tenant = await making;
        await tenant.PointAsync(name, "live", await tenant.UploadAsync(name, file));
        await (await tenant.DeployAsync(name, name, "live", journalMode)).ShouldBeAsync(201);
        return tenant;
    }

    public static Task<HttpResponseMessage> PredictAsync(this TestTenant tenant, string body, string endpoint = "houses") =>
        tenant.Developer.PostAsync($"{Endpoints}/{endpoint}/predict", new StringContent(body, Encoding.UTF8, "application/json"));

    public static async Task<JsonElement> PredictedAsync(this TestTenant tenant, string body, string endpoint = "houses") => await (await tenant.PredictAsync(body, endpoint)).ShouldBeAsync(200);

    public static async Task<long> UsageAsync(this TestTenant tenant) =>
        (await (await tenant.Admin.GetAsync("api/v1/billing/usage")).ShouldBeAsync(200)).GetProperty("predictions").GetInt64();

    public static async Task<JsonElement> GetJsonAsync(this HttpClient by, string path) => await (await by.GetAsync(path)).ShouldBeAsync(200);
}
