using System.Runtime.InteropServices;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;
using Grpc.Net.Compression;
using Platform.Inference.Predict.OpenInference.Wire;
using Platform.Testing;
using Client = Platform.Inference.Predict.OpenInference.Wire.GRPCInferenceService.GRPCInferenceServiceClient;

namespace Inference.Tests.Predict.OpenInference;

public sealed class GrpcTests
{
    [Fact]
    public async Task A_model_describes_itself_is_ready_and_infers_with_raw_and_with_typed_contents()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.SumAndDifference(), "sums");
        var client = Calling(tenant, out var key);
        var described = await client.ModelMetadataAsync(new ModelMetadataRequest { Name = "sums" }, key);
        (described.Platform, described.Versions.Single(), described.Inputs[0].Datatype).ShouldBe(("onnx_onnxv1", "1", "FP32"));
        described.Outputs[1].Shape.ShouldBe([-1L, 3]);
        (await client.ModelReadyAsync(new ModelReadyRequest { Name = "sums", Version = "live" }, key)).Ready.ShouldBeTrue();

        var raw = await client.ModelInferAsync(Sums(raw: true), key);
        (raw.ModelName, raw.ModelVersion, raw.Id).ShouldBe(("sums", "1", "42"));
        raw.Outputs.Select(output => output.Name).ShouldBe(["sum", "difference"]);
        Floats(raw.RawOutputContents[1]).ShouldBe([0f, 1, 2]);
        var typed = await client.ModelInferAsync(Sums(raw: false), key);
        Floats(typed.RawOutputContents[0]).ShouldBe([2f, 3, 4]);
        typed.Outputs[0].Contents.ShouldBeNull();

        var one = Sums(raw: true);
        one.Outputs.Add(new ModelInferRequest.Types.InferRequestedOutputTensor { Name = "difference" });
        (await client.ModelInferAsync(one, key)).Outputs.Single().Name.ShouldBe("difference");

        (await tenant.UsageAsync()).ShouldBe(3);
        var kept = await tenant.Viewer.GetJsonAsync($"api/v1/inference/predictions/{raw.Parameters["prediction_id"].StringParam}");
        kept.GetProperty("dialect").GetString().ShouldBe("v2-grpc");
        kept.GetProperty("outputs")[1].GetProperty("data").GetRawText().ShouldBe("[0,1,2]");
    }

    [Fact]
    public async Task Refusals_are_statuses_that_name_the_fault()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.SumAndDifference(), "sums");
        var client = Calling(tenant, out var key);
        await RefusedAsync(StatusCode.NotFound, "There is no endpoint 'nothing'", request => request.ModelName = "nothing");
        await RefusedAsync(StatusCode.NotFound, "serves version 1 (live), not '7'", request => request.ModelVersion = "7");
        await RefusedAsync(StatusCode.InvalidArgument, "the model takes [-1,3]", request => request.Inputs[0].Shape[1] = 4);
        await RefusedAsync(StatusCode.InvalidArgument, "has the shape [-1,3]", request => request.Inputs[0].Shape[0] = -1, orText: "whole numbers from 0 up");
        await RefusedAsync(StatusCode.InvalidArgument, "the model takes FP32", request => request.Inputs[0].Datatype = "FP64");
        await RefusedAsync(StatusCode.InvalidArgument, "has 'contents', and there are raw_input_contents", request => request.Inputs[0].Contents = new InferTensorContents { Fp32Contents = { 1 } });
        await RefusedAsync(StatusCode.InvalidArgument, "There are 2 inputs and 1 raw_input_contents", request => request.RawInputContents.RemoveAt(1));
        await RefusedAsync(StatusCode.InvalidArgument, "more raw_input_contents", request => request.RawInputContents.Add(ByteString.Empty));
        await RefusedAsync(StatusCode.InvalidArgument, "promises 12 bytes of FP32; there are 16", request => request.RawInputContents[1] = ByteString.CopyFrom(new byte[16]));
        await RefusedAsync(StatusCode.InvalidArgument, "no output 'product'", request => request.Outputs.Add(new ModelInferRequest.Types.InferRequestedOutputTensor { Name = "product" }));

        (await Should.ThrowAsync<RpcException>(client.ModelInferAsync(Sums(true)).ResponseAsync)).StatusCode.ShouldBe(StatusCode.Unauthenticated);
        (await Should.ThrowAsync<RpcException>(client.ModelInferAsync(Sums(true), new Metadata { { "authorization", "Bearer mlp_nobody.x.y" } }).ResponseAsync)).StatusCode.ShouldBe(StatusCode.Unauthenticated);
        var viewer = await TestTenant.IssueKeyAsync(tenant.Admin, tenant.Id, "viewer");
        var lacking = await Should.ThrowAsync<RpcException>(client.ModelInferAsync(Sums(true), new Metadata { { "authorization", $"Bearer {viewer}" } }).ResponseAsync);
        (lacking.StatusCode, lacking.Status.Detail).ShouldBe((StatusCode.PermissionDenied, lacking.Status.Detail));
        lacking.Status.Detail.ShouldContain("inference:predict");
        (await tenant.UsageAsync()).ShouldBe(0);

        async Task RefusedAsync(StatusCode status, string why, Action<ModelInferRequest> spoil, string? orText = null)
        {
            var request = Sums(raw: true);
            spoil(request);
            var refused = await Should.ThrowAsync<RpcException>(client.ModelInferAsync(request, key).ResponseAsync);
            (refused.StatusCode, refused.Status.Detail).ShouldSatisfyAllConditions(
                one => one.StatusCode.ShouldBe(status),
                one => (one.Detail.Contains(why, StringComparison.Ordinal) || (orText is not null && one.Detail.Contains(orText, StringComparison.Ordinal))).ShouldBeTrue(one.Detail));
        }
    }

    [Fact]
    public async Task Values_of_every_typed_list_arrive_and_those_out_of_range_do_not()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Identity(OnnxFiles.Int8, -1), "bytes");
        var client = Calling(tenant, out var key);
        (await client.ModelInferAsync(Of(-128, 0, 127), key)).RawOutputContents[0].ToByteArray().ShouldBe([0x80, 0, 0x7f]);
        (await Should.ThrowAsync<RpcException>(client.ModelInferAsync(Of(0, 128), key).ResponseAsync)).Status.Detail.ShouldContain("Element 1 of input 'x' does not fit INT8");

        static ModelInferRequest Of(params int[] values) => new()
        {
            ModelName = "bytes",
            Inputs = { new ModelInferRequest.Types.InferInputTensor { Name = "x", Datatype = "INT8", Shape = { values.Length }, Contents = new InferTensorContents { IntContents = { values } } } },
        };
    }

    [Fact]
    public async Task Large_and_packed_messages_are_understood_up_to_the_limit_of_a_body()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Identity(OnnxFiles.Float, -1), "echo", "buffered");
        var client = Calling(tenant, out var key);
        key.Add("grpc-internal-encoding-request", "gzip");
        var values = new byte[2 << 20];
        (await client.ModelInferAsync(Echo(values), key)).RawOutputContents[0].Length.ShouldBe(values.Length);
        var refused = await Should.ThrowAsync<RpcException>(client.ModelInferAsync(Echo(new byte[17 << 20]), key).ResponseAsync);
        refused.StatusCode.ShouldBe(StatusCode.ResourceExhausted);

        static ModelInferRequest Echo(byte[] values) => new()
        {
            ModelName = "echo",
            Inputs = { new ModelInferRequest.Types.InferInputTensor { Name = "x", Datatype = "FP32", Shape = { values.Length / 4 } } },
            RawInputContents = { ByteString.CopyFrom(values) },
        };
    }

    [Fact]
    public async Task A_stranger_learns_that_the_server_lives_and_its_health_is_that_of_health_ready()
    {
        var tenant = await TestTenant.NewAsync();
        var client = Calling(tenant, out _);
        (await client.ServerLiveAsync(new ServerLiveRequest())).Live.ShouldBeTrue();
        (await client.ServerReadyAsync(new ServerReadyRequest())).Ready.ShouldBeTrue();
        var server = await client.ServerMetadataAsync(new ServerMetadataRequest());
        (server.Name, server.Extensions.Contains("binary_tensor_data")).ShouldBe(("platform", true));
        using var channel = GrpcChannel.ForAddress(tenant.App.GrpcAddress);
        var health = new Health.HealthClient(channel);
        (await health.CheckAsync(new HealthCheckRequest())).Status.ShouldBe(HealthCheckResponse.Types.ServingStatus.Serving);
        (await health.CheckAsync(new HealthCheckRequest { Service = "inference.GRPCInferenceService" })).Status.ShouldBe(HealthCheckResponse.Types.ServingStatus.Serving);
        (await Should.ThrowAsync<RpcException>(health.CheckAsync(new HealthCheckRequest { Service = "other" }).ResponseAsync)).StatusCode.ShouldBe(StatusCode.NotFound);
        (await Should.ThrowAsync<RpcException>(client.ModelReadyAsync(new ModelReadyRequest { Name = "x" }).ResponseAsync)).StatusCode.ShouldBe(StatusCode.Unauthenticated);
    }

    [Fact]
    public async Task The_repository_the_statistics_and_the_configuration_are_those_of_the_routes()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.SumAndDifference(), "sums");
        var client = Calling(tenant, out var key);
        await client.ModelInferAsync(Sums(true), key);
        var counted = (await client.ModelStatisticsAsync(new ModelStatisticsRequest(), key)).ModelStats.Single();
        (counted.Name, counted.InferenceCount, counted.ExecutionCount, counted.InferenceStats.Success.Count).ShouldBe(("sums", 1ul, 1ul, 1ul));
        counted.InferenceStats.ComputeInfer.Ns.ShouldBeGreaterThan(0ul);
        var config = (await client.ModelConfigAsync(new ModelConfigRequest { Name = "sums" }, key)).Config;
        (config.Platform, config.Input[0].DataType, config.MaxBatchSize).ShouldBe(("onnxruntime_onnx", DataType.TypeFp32, 0));
        (await client.RepositoryIndexAsync(new RepositoryIndexRequest(), key)).Models.Single().ToString().ShouldContain("\"state\": \"READY\"");
        await client.RepositoryModelUnloadAsync(new RepositoryModelUnloadRequest { ModelName = "sums" }, key);
        (await client.RepositoryIndexAsync(new RepositoryIndexRequest { Ready = true }, key)).Models.Single().Reason.ShouldContain("not in memory");
        await client.RepositoryModelLoadAsync(new RepositoryModelLoadRequest { ModelName = "sums" }, key);
        (await client.RepositoryIndexAsync(new RepositoryIndexRequest(), key)).Models.Single().Reason.ShouldBe("");
        var file = new RepositoryModelLoadRequest { ModelName = "sums", Parameters = { ["file:2/model.onnx"] = new ModelRepositoryParameter { BytesParam = ByteString.CopyFrom(1, 2) } } };
        (await Should.ThrowAsync<RpcException>(client.RepositoryModelLoadAsync(file, key).ResponseAsync)).StatusCode.ShouldBe(StatusCode.FailedPrecondition);
    }

    private static Client Calling(TestTenant tenant, out Metadata key)
    {
        key = new Metadata { { "authorization", $"Bearer {tenant.DeveloperKey}" } };
        return new Client(GrpcChannel.ForAddress(tenant.App.GrpcAddress, new GrpcChannelOptions
        {
            MaxReceiveMessageSize = null,
            CompressionProviders = [new GzipCompressionProvider(System.IO.Compression.CompressionLevel.Fastest)],
        }));
    }

    private static ModelInferRequest Sums(bool raw)
    {
        var request = new ModelInferRequest { ModelName = "sums", Id = "42" };
        foreach (var (name, values) in new[] { ("a", new[] { 1f, 2, 3 }), ("b", [1f, 1, 1]) })
        {
            var input = new ModelInferRequest.Types.InferInputTensor { Name = name, Datatype = "FP32", Shape = { 1, 3 } };
            if (raw) request.RawInputContents.Add(ByteString.CopyFrom(MemoryMarshal.AsBytes(values.AsSpan())));
            else input.Contents = new InferTensorContents { Fp32Contents = { values } };
            request.Inputs.Add(input);
        }
        return request;
    }

    private static float[] Floats(ByteString bytes) => MemoryMarshal.Cast<byte, float>(bytes.Span).ToArray();
}
