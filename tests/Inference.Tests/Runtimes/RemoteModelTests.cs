using System.Buffers.Binary;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Platform.Kernel.Http;
using Platform.Testing;

namespace Inference.Tests.Runtimes;

/// <summary>Versions that live on another server of the Open Inference Protocol.</summary>
public sealed class RemoteModelTests
{
    [Theory]
    [InlineData("127.0.0.1", false)]
    [InlineData("10.1.2.3", false)]
    [InlineData("172.31.255.255", false)]
    [InlineData("192.168.0.1", false)]
    [InlineData("169.254.169.254", false)]
    [InlineData("100.64.0.1", false)]
    [InlineData("0.0.0.0", false)]
    [InlineData("::1", false)]
    [InlineData("::ffff:127.0.0.1", false)]
    [InlineData("fe80::1", false)]
    [InlineData("fd00::1", false)]
    [InlineData("64:ff9b::7f00:1", false)]
    [InlineData("1.1.1.1", true)]
    [InlineData("172.32.0.1", true)]
    [InlineData("2606:4700:4700::1111", true)]
    public void Addresses_of_this_machine_and_of_private_networks_are_not_public(string address, bool isPublic) =>
        PublicAddresses.IsPublic(IPAddress.Parse(address)).ShouldBe(isPublic);

    [Fact]
    public async Task A_private_address_is_refused_unless_the_operator_allows_it()
    {
        var tenant = await TestTenant.NewAsync();
        await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/models", new { name = "far" })).ShouldBeAsync(201);
        foreach (var url in new[] { tenant.App.Address.ToString(), $"http://localhost:{tenant.App.Address.Port}", "http://[::1]:1", "http://169.254.169.254" })
        {
            await (await AddAsync(tenant, url)).ShouldRefuseAsync(400, "address-not-allowed");
        }
        foreach (var url in new[] { "ftp://example.com", "file:///etc/passwd", "http://user:secret@example.com", "nonsense" })
        {
            await (await AddAsync(tenant, url)).ShouldRefuseAsync(400, "bad-url");
        }
    }

    [Fact]
    public async Task A_model_on_another_server_answers_through_an_endpoint_here_and_its_failures_are_told_apart()
    {
        var settings = new Dictionary<string, string>
        {
            ["Inference:Remote:AllowedHosts:0"] = "127.0.0.0/8",
            ["Inference:Remote:Credentials:far:Host"] = "127.0.0.1",
            ["Inference:Remote:Credentials:far:Authorization"] = "Bearer far-secret",
            ["Inference:Remote:Credentials:elsewhere:Host"] = "elsewhere.example",
            ["Inference:Remote:Credentials:elsewhere:Authorization"] = "Bearer not-for-you",
        };
        await using var app = await PlatformApp.StartOwnAsync(settings);
        await using var other = await OtherServer.StartAsync();
        var tenant = await TestTenant.NewAsync(app);
        await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/models", new { name = "far" })).ShouldBeAsync(201);

        await (await AddAsync(tenant, other.Url, credential: "elsewhere")).ShouldRefuseAsync(400, "no-such-credential");
        await (await AddAsync(tenant, other.Url)).ShouldRefuseAsync(400, "remote-model-unusable");
        var version = await (await AddAsync(tenant, other.Url, credential: "far")).ShouldBeAsync(201);
        version.GetProperty("kind").GetString().ShouldBe("remote");
        await (await tenant.DeployAsync("far", "far", "1")).ShouldBeAsync(201);

        (await tenant.PredictedAsync("""{"inputs": [{"x": 1.5}, {"x": -2}]}""", "far")).GetProperty("predictions").EnumerateArray()
            .Select(row => row.GetProperty("prediction").GetDouble()).ShouldBe([3, -4]);
        (await tenant.UsageAsync()).ShouldBe(2);

        await (await tenant.PredictAsync("""{"inputs": {"x": 400}}""", "far")).ShouldRefuseAsync(400, "model-failed");
        await (await tenant.PredictAsync("""{"inputs": {"x": 500}}""", "far")).ShouldRefuseAsync(503, "remote-unavailable");
        await (await tenant.PredictAsync("""{"inputs": {"x": 302}}""", "far")).ShouldRefuseAsync(503, "remote-unavailable");
        await (await tenant.PredictAsync("""{"inputs": {"x": 999}}""", "far")).ShouldRefuseAsync(503, "run-timeout");

        // After enough failures in a row nobody is kept waiting: the server that does answer in time is not even asked.
        for (var i = 0; i < 3; i++) await (await tenant.PredictAsync("""{"inputs": {"x": 500}}""", "far")).ShouldRefuseAsync(503, "remote-unavailable");
        var asked = other.Asked;
        var refused = await tenant.PredictAsync("""{"inputs": {"x": 1}}""", "far");
        await refused.ShouldRefuseAsync(503, "remote-unavailable");
        refused.Headers.RetryAfter.ShouldNotBeNull();
        other.Asked.ShouldBe(asked);
        (await tenant.UsageAsync()).ShouldBe(2);
    }

    [Fact]
    public async Task A_model_on_another_server_is_a_member_like_any_other()
    {
        await using var app = await PlatformApp.StartOwnAsync(new Dictionary<string, string>
        {
            ["Inference:Remote:AllowedHosts:0"] = "127.0.0.0/8",
            ["Inference:Remote:Credentials:far:Host"] = "127.0.0.1",
            ["Inference:Remote:Credentials:far:Authorization"] = "Bearer far-secret",
            // One core: a composite that held it while it waits for the next turn would wait for itself.
            ["Inference:ConcurrentRuns"] = "1",
        });
        await using var other = await OtherServer.StartAsync();
        var tenant = await TestTenant.NewAsync(app);
        await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/models", new { name = "far" })).ShouldBeAsync(201);
        await (await AddAsync(tenant, other.Url, credential: "far")).ShouldBeAsync(201);
        await tenant.UploadAsync("plus", OnnxFiles.Linear(1, ("x", 10)));
        await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/models", new { name = "all" })).ShouldBeAsync(201);
        object Then(string model) => new { model, version = 1, inputs = new { x = "y" } };
        var members = new object[] { new { model = "plus", version = 1 }, Then("far"), Then("plus") };
        await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/models/all/composite-versions", new { kind = "sequence", members })).ShouldBeAsync(201);
        await (await tenant.DeployAsync("all", "all", "1")).ShouldBeAsync(201);

        // 10·2 + 1, twice that, 10·42 + 1; and for many at once.
        (await tenant.PredictedAsync("""{"inputs": {"x": 2}}""", "all")).GetProperty("prediction").GetDouble().ShouldBe(421);
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => tenant.PredictedAsync($$$"""{"inputs": {"x": {{{i}}}}}""", "all")));
        answers.Select(answer => answer.GetProperty("prediction").GetDouble()).ShouldBe(Enumerable.Range(0, 20).Select(i => (20.0 * ((10 * i) + 1)) + 1));
        // 10·39.9 + 1 is a status that the other server answers.
        (await (await tenant.PredictAsync("""{"inputs": {"x": 39.9}}""", "all")).ShouldRefuseAsync(400, "model-failed")).GetProperty("detail").GetString()!.ShouldContain("in its member 'far' (version 1)");
        (await tenant.UsageAsync()).ShouldBe(21);
    }

    private static Task<HttpResponseMessage> AddAsync(TestTenant tenant, string url, string? credential = null) =>
        tenant.Developer.PostAsJsonAsync("api/v1/registry/models/far/remote-versions", new { url, remoteModel = "doubles", timeoutMs = 1000, credential });

    /// <summary>A small server of the protocol with its binary extension: twice the input; some inputs make it fail with the status they name.</summary>
    private sealed class OtherServer : IAsyncDisposable
    {
        private readonly WebApplication app;

        private OtherServer(WebApplication app) => this.app = app;

        public string Url => app.Urls.First();

        public int Asked { get; private set; }

        public static async Task<OtherServer> StartAsync()
        {
            var builder = WebApplication.CreateSlimBuilder();
            builder.Logging.ClearProviders();
            builder.WebHost.UseUrls("http://127.0.0.1:0");
            var app = builder.Build();
            var server = new OtherServer(app);
            app.Use((context, next) =>
            {
                if (context.Request.Headers.Authorization == "Bearer far-secret") return next(context);
                context.Response.StatusCode = 401;
                return Task.CompletedTask;
            });
            app.MapGet("/v2", () => new { name = "other", version = "1", extensions = new[] { "binary_tensor_data" } });
            app.MapGet("/v2/models/doubles", () => new
            {
                name = "doubles",
                platform = "other",
                inputs = new[] { new { name = "x", datatype = "FP32", shape = new[] { -1, 1 } } },
                outputs = new[] { new { name = "y", datatype = "FP32", shape = new[] { -1, 1 } } },
            });
            app.MapPost("/v2/models/doubles/infer", server.InferAsync);
            await app.StartAsync();
            return server;
        }

        public ValueTask DisposeAsync() => app.DisposeAsync();

        private async Task InferAsync(HttpContext context)
        {
            Asked++;
            using var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            var headerLength = int.Parse(context.Request.Headers["Inference-Header-Content-Length"]!);
            using var header = JsonDocument.Parse(body.GetBuffer().AsMemory(0, headerLength));
            var input = header.RootElement.GetProperty("inputs")[0];
            var bytes = body.GetBuffer().AsMemory(headerLength, input.GetProperty("parameters").GetProperty("binary_data_size").GetInt32()).ToArray();
            var first = BinaryPrimitives.ReadSingleLittleEndian(bytes);
            if (first is 999) await Task.Delay(Timeout.Infinite, context.RequestAborted);
            if (first >= 300)
            {
                context.Response.StatusCode = (int)first;
                context.Response.Headers.Location = "http://169.254.169.254/";
                return;
            }
            for (var i = 0; i < bytes.Length; i += 4) BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(i), BinaryPrimitives.ReadSingleLittleEndian(bytes.AsSpan(i)) * 2);
            var answer = Encoding.UTF8.GetBytes(JsonSerializer.Serialize(new
            {
                outputs = new[] { new { name = "y", datatype = "FP32", shape = input.GetProperty("shape"), parameters = new { binary_data_size = bytes.Length } } },
            }));
            context.Response.Headers["Inference-Header-Content-Length"] = answer.Length.ToString();
            await context.Response.Body.WriteAsync(answer);
            await context.Response.Body.WriteAsync(bytes);
        }
    }
}
