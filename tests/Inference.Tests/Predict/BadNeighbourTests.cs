using System.Net.Sockets;
using System.Text;
using Platform.Testing;

namespace Inference.Tests.Predict;

/// <summary>Models and clients that behave badly, and what others see of them. The same under load, with everything else that can fail: <c>build/faults</c>.</summary>
public sealed class BadNeighbourTests
{
    [Fact]
    public async Task What_is_no_number_is_valid_JSON_in_the_protocol()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.ByItself(), "ones");
        using var answer = await InferAsync(tenant, "ones", """{"inputs": [{"name": "x", "shape": [2,1], "datatype": "FP32", "data": [2, 0]}]}""");
        (await answer.ShouldBeAsync(200)).GetProperty("outputs")[0].GetProperty("data").GetRawText().ShouldBe("""[1,"NaN"]""");
    }

    [Fact]
    public async Task A_model_that_never_ends_holds_nobody_elses_up()
    {
        var hog = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Slow(), "slow");
        var quiet = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        using var enough = new CancellationTokenSource();
        // More than there are cores, and nothing but these would end them.
        var endless = Enumerable.Range(0, Environment.ProcessorCount * 2).Select(_ => InferAsync(hog, "slow", """{"inputs": [{"name": "times", "shape": [1], "datatype": "INT64", "data": [9000000000000000000]}]}""", enough.Token)).ToArray();
        for (var i = 0; i < 20; i++) (await quiet.PredictedAsync(Deployments.Row)).GetProperty("prediction").GetDouble().ShouldBe(102);
        endless.ShouldAllBe(call => !call.IsCompleted);
        await enough.CancelAsync();
        foreach (var call in endless) await Should.ThrowAsync<OperationCanceledException>(call);
        (await quiet.UsageAsync(), await hog.UsageAsync()).ShouldBe((20, 0));
    }

    [Fact]
    public async Task An_answer_that_is_too_large_is_refused_and_not_billed()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Talkative(), "talks");
        using var answer = await InferAsync(tenant, "talks", """{"inputs": [{"name": "count", "shape": [1], "datatype": "INT64", "data": [20000000]}]}""");
        (await answer.ShouldBeAsync(400)).GetProperty("error").GetString()!.ShouldContain("more memory on these inputs than a run may have, or gave more than an answer may hold");
        (await tenant.UsageAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task Clients_that_vanish_leave_their_places_to_others_and_what_is_billed_is_in_the_journal()
    {
        await using var app = await PlatformApp.StartOwnAsync(new Dictionary<string, string> { ["Inference:Limits:MaxConcurrentPerTenant"] = "2" });
        var tenant = await TestTenant.NewAsync(app).WithEndpointAsync(OnnxFiles.Houses());
        var body = Encoding.ASCII.GetBytes(Deployments.Row);
        byte[] request =
            [.. Encoding.ASCII.GetBytes($"POST /{Deployments.Endpoints}/houses/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tenant.DeveloperKey}\r\nContent-Type: application/json\r\nContent-Length: {body.Length}\r\n\r\n"), .. body];
        foreach (var length in new[] { request.Length - 10, request.Length })
        {
            for (var i = 0; i < 5; i++)
            {
                using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { LingerState = new LingerOption(true, 0) };
                await socket.ConnectAsync(app.Address.Host, app.Address.Port);
                await socket.SendAsync(request.AsMemory(0, length));
            }
        }
        await Eventually.BecomesAsync("both places to be free", async () => await Task.WhenAll(tenant.PredictAsync(Deployments.Row), tenant.PredictAsync(Deployments.Row)), answers => answers.All(answer => answer.IsSuccessStatusCode));
        var found = (await tenant.Developer.GetJsonAsync("api/v1/inference/predictions?limit=100")).GetProperty("items").EnumerateArray().Sum(row => row.GetProperty("units").GetInt32());
        (await tenant.UsageAsync()).ShouldBe(found);
    }

    private static Task<HttpResponseMessage> InferAsync(TestTenant tenant, string endpoint, string body, CancellationToken ct = default) =>
        tenant.Developer.PostAsync($"v2/models/{endpoint}/infer", new StringContent(body, Encoding.UTF8, "application/json"), ct);
}
