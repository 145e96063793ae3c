using System.Diagnostics;
using System.Text;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.Extensions.DependencyInjection;
using Platform.Inference.Predict.OpenInference.Wire;
using Platform.Inference.Predict.Runtimes;
using Platform.Testing;

namespace Inference.Tests.Predict;

/// <summary>Callers who will not wait, on a host with one core for runs.</summary>
public sealed class DeadlineTests
{
    private const string Endless = """{"inputs": [{"name": "times", "shape": [1], "datatype": "INT64", "data": [9223372036854775807]}]}""";

    [Fact]
    public async Task A_request_that_waits_past_its_deadline_is_refused_and_not_billed_and_work_of_vanished_clients_is_dropped()
    {
        await using var app = await PlatformApp.StartOwnAsync(new Dictionary<string, string> { ["Inference:ConcurrentRuns"] = "1", ["Inference:GuestRuns"] = "0" });
        var gate = app.Services.GetRequiredService<RunGate>();
        var tenant = await TestTenant.NewAsync(app);
        foreach (var (name, file) in new[] { ("houses", OnnxFiles.Houses()), ("slow", OnnxFiles.Slow()) })
        {
            await tenant.PointAsync(name, "live", await tenant.UploadAsync(name, file));
            await (await tenant.DeployAsync(name, name, "live")).ShouldBeAsync(201);
        }

        // The only core is taken until the client that asked for it vanishes.
        using var leavesRun = new CancellationTokenSource();
        var running = tenant.Developer.PostAsync("v2/models/slow/infer", new StringContent(Endless, Encoding.UTF8, "application/json"), leavesRun.Token);
        await Eventually.BecomesAsync("the endless run to hold the core", () => Task.FromResult(IsFree(gate)), free => !free);

        var clock = Stopwatch.StartNew();
        var refused = await (await tenant.PredictAsync("""{"inputs": {"size": 1, "city": "north", "sold": 0}, "options": {"timeoutMs": 50}}""")).ShouldRefuseAsync(503, "deadline-exceeded");
        refused.GetProperty("detail").GetString()!.ShouldContain("50 ms");
        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(5));

        using var leavesQueue = new CancellationTokenSource();
        var waiting = tenant.Developer.PostAsync($"{Deployments.Endpoints}/houses/predict", new StringContent(Deployments.Row, Encoding.UTF8, "application/json"), leavesQueue.Token);
        await Eventually.BecomesAsync("the request to wait", () => Task.FromResult(gate.Waiting), count => count == 1);
        await leavesQueue.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(waiting);
        await Eventually.BecomesAsync("the vanished client's work to leave the line", () => Task.FromResult(gate.Waiting), count => count == 0);

        await leavesRun.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(running);
        (await tenant.PredictedAsync(Deployments.Row)).GetProperty("prediction").GetDouble().ShouldBe(102);
        (await tenant.UsageAsync()).ShouldBe(1);
    }

    [Fact]
    public async Task A_deadline_is_a_number_of_milliseconds()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        await (await tenant.PredictAsync("""{"inputs": {"size": 1, "city": "north", "sold": 0}, "options": {"timeoutMs": 60000}}""")).ShouldBeAsync(200);
        foreach (var wrong in new[] { "0", "-5", "\"soon\"", "1e12" })
        {
            await (await tenant.PredictAsync("""{"inputs": {"size": 1, "city": "north", "sold": 0}, "options": {"timeoutMs": ?}}""".Replace("?", wrong))).ShouldRefuseAsync(400, "bad-timeout");
        }
    }

    [Fact]
    public async Task A_deadline_of_the_protocol_over_REST_and_gRPC_or_of_the_gRPC_call_is_kept_and_what_missed_it_is_not_billed()
    {
        await using var app = await PlatformApp.StartOwnAsync(new Dictionary<string, string> { ["Inference:ConcurrentRuns"] = "1", ["Inference:GuestRuns"] = "0" });
        var gate = app.Services.GetRequiredService<RunGate>();
        var tenant = await TestTenant.NewAsync(app).WithEndpointAsync(OnnxFiles.ByItself(), "ones");
        using var channel = GrpcChannel.ForAddress(app.GrpcAddress);
        var client = new GRPCInferenceService.GRPCInferenceServiceClient(channel);
        var key = new Metadata { { "authorization", $"Bearer {tenant.DeveloperKey}" } };

        var seat = (await gate.EnterAsync("other", default)).Value;
        var late = await (await PostAsync("50000")).ShouldBeAsync(503);
        late.GetProperty("error").GetString()!.ShouldContain("within the 50 ms");
        foreach (var parameter in new[] { new InferParameter { Int64Param = 50_000 }, new InferParameter { Uint64Param = 50_000 } })
        {
            var refused = await Should.ThrowAsync<RpcException>(client.ModelInferAsync(Ones(parameter), key).ResponseAsync);
            refused.StatusCode.ShouldBe(StatusCode.DeadlineExceeded);
            refused.Status.Detail.ShouldContain("within the 50 ms");
        }
        var past = await Should.ThrowAsync<RpcException>(client.ModelInferAsync(Ones(null), key, DateTime.UtcNow.AddMilliseconds(200)).ResponseAsync);
        past.StatusCode.ShouldBe(StatusCode.DeadlineExceeded);
        await Eventually.BecomesAsync("whoever was too late to leave the line", () => Task.FromResult(gate.Waiting), count => count == 0);
        gate.Exit(seat);

        await (await PostAsync("0")).ShouldBeAsync(200);
        await (await PostAsync("60000000")).ShouldBeAsync(200);
        await (await PostAsync("18446744073709551615")).ShouldBeAsync(200);
        await client.ModelInferAsync(Ones(new InferParameter { Int64Param = 60_000_000 }), key, DateTime.UtcNow.AddMinutes(1));
        foreach (var wrong in new[] { "-1", "1.5", "\"soon\"", "null", "[1]" })
        {
            (await (await PostAsync(wrong)).ShouldBeAsync(400)).GetProperty("error").GetString()!.ShouldContain("'timeout'");
        }
        foreach (var wrong in new[] { new InferParameter { Int64Param = -1 }, new InferParameter { StringParam = "soon" }, new InferParameter() })
        {
            (await Should.ThrowAsync<RpcException>(client.ModelInferAsync(Ones(wrong), key).ResponseAsync)).StatusCode.ShouldBe(StatusCode.InvalidArgument);
        }
        (await tenant.UsageAsync()).ShouldBe(4);

        Task<HttpResponseMessage> PostAsync(string timeout) => tenant.Developer.PostAsync("v2/models/ones/infer", new StringContent(
            """{"parameters": {"sequence_id": 7, "timeout": T}, "inputs": [{"name": "x", "shape": [1,1], "datatype": "FP32", "parameters": {"timeout": "means nothing here"}, "data": [2]}]}""".Replace("T}", timeout + "}"),
            Encoding.UTF8, "application/json"));

        static ModelInferRequest Ones(InferParameter? timeout)
        {
            var request = new ModelInferRequest
            {
                ModelName = "ones",
                Parameters = { ["sequence_id"] = new InferParameter { Int64Param = 7 } },
                Inputs = { new ModelInferRequest.Types.InferInputTensor { Name = "x", Datatype = "FP32", Shape = { 1, 1 }, Contents = new InferTensorContents { Fp32Contents = { 2 } } } },
            };
            if (timeout is not null) request.Parameters["timeout"] = timeout;
            return request;
        }
    }

    /// <summary>Whether the core is free.</summary>
    private static bool IsFree(RunGate gate)
    {
        if (gate.TryEnter("other", default) is not { } seat) return false;
        gate.Exit(seat);
        return true;
    }
}
