using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Platform.Testing;

namespace Registry.Tests.Mlflow;

/// <summary>What a client of MLflow does, in one call each.</summary>
internal static class TestMlflow
{
    public const string Api = "mlflow/api/2.0/mlflow", Files = "mlflow/api/2.0/mlflow-artifacts/artifacts";

    public static Task<HttpResponseMessage> SendAsync(this HttpClient by, string method, string path, object? body = null) =>
        by.SendAsync(new HttpRequestMessage(new HttpMethod(method), $"{Api}/{path}") { Content = body is null ? null : JsonContent.Create(body) });

    /// <summary>The call, which must succeed.</summary>
    public static async Task<JsonElement> OkAsync(this HttpClient by, string method, string path, object? body = null) => await (await by.SendAsync(method, path, body)).ShouldBeAsync(200);

    public static async Task<string> RefusesAsync(this HttpClient by, string method, string path, object? body, int status, string code)
    {
        var answer = await (await by.SendAsync(method, path, body)).ShouldBeAsync(status);
        answer.GetProperty("error_code").GetString().ShouldBe(code, answer.ToString());
        return answer.GetProperty("message").GetString()!;
    }

    public static async Task<string> NewExperimentAsync(this TestTenant tenant, string name = "e") =>
        (await tenant.Developer.OkAsync("POST", "experiments/create", new { name })).GetProperty("experiment_id").GetString()!;

    public static async Task<string> NewRunAsync(this TestTenant tenant, string experiment = "0", long start = 1, object[]? tags = null) =>
        (await tenant.Developer.OkAsync("POST", "runs/create", new { experiment_id = experiment, start_time = start, tags = tags ?? [] })).GetProperty("run").GetProperty("info").GetProperty("run_id").GetString()!;

    public static async Task<JsonElement> RunAsync(this TestTenant tenant, string id) => (await tenant.Viewer.OkAsync("GET", $"runs/get?run_id={id}")).GetProperty("run");

    public static JsonElement? Of(this JsonElement run, string list, string key) =>
        run.GetProperty("data").TryGetProperty(list, out var items) ? items.EnumerateArray().Where(i => i.GetProperty("key").GetString() == key).Select(i => (JsonElement?)i).SingleOrDefault() : null;

    public static Task<HttpResponseMessage> PutFileAsync(this HttpClient by, string path, byte[] content) => by.PutAsync($"{Files}/{path}", new ByteArrayContent(content));

    public static Task<HttpResponseMessage> PutFileAsync(this HttpClient by, string path, string content) => by.PutFileAsync(path, Encoding.UTF8.GetBytes(content));
}
