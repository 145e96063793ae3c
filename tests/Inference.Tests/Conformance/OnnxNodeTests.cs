using System.Collections.Concurrent;
using System.Formats.Tar;
using System.Globalization;
using System.IO.Compression;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Platform.Inference.Predict.OpenInference.Wire;
using Platform.Inference.Predict.Runtimes;
using Platform.Testing;
using Xunit.Abstractions;
using Client = Platform.Inference.Predict.OpenInference.Wire.GRPCInferenceService.GRPCInferenceServiceClient;

namespace Inference.Tests.Conformance;

/// <summary>The ONNX project's own node tests, each asked for in every way the protocol has: every datatype, 0-d and empty tensors among them.</summary>
public sealed class OnnxNodeTests(ITestOutputHelper output)
{
    private const string Archive = "conformance/onnx-node-tests.tar.gz";
    private const string HeaderLength = "Inference-Header-Content-Length";

    [SharedDataFact(Archive)]
    public async Task Every_node_test_answers_as_it_should_over_rest_and_grpc_as_text_and_as_bytes()
    {
        var cases = await ReadAsync(SharedData.PathOf(Archive));
        // Files of one tenant are looked at one after another, those of several beside each other.
        var tenants = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => TestTenant.NewAsync()));
        using var channel = GrpcChannel.ForAddress(tenants[0].App.GrpcAddress);
        var client = new Client(channel);
        ConcurrentBag<string> failures = [];
        var (answers, untypable) = (0, 0);
        await Task.WhenAll(tenants.Select(async (tenant, at) =>
        {
            foreach (var one in cases.Where((_, i) => i % tenants.Length == at)) await TryAsync(tenant, one);
        }));

        async Task TryAsync(TestTenant tenant, Case one)
        {
            await DeployAsync(tenant, one);
            foreach (var (way, ask) in Ways(tenant, client))
            {
                if (way == "gRPC typed" && one.Inputs.Any(input => input.Datatype is Datatype.FP16 or Datatype.BF16))
                {
                    // The protocol has no typed list for these, and the server says so.
                    var refused = await Should.ThrowAsync<RpcException>(ask(one));
                    refused.StatusCode.ShouldBe(StatusCode.InvalidArgument);
                    refused.Status.Detail.ShouldContain("raw_input_contents");
                    Interlocked.Increment(ref untypable);
                    continue;
                }
                try
                {
                    var actual = await ask(one);
                    var fault = actual.Length != one.Outputs.Length ? $"{actual.Length} outputs" : one.Outputs.Zip(actual, (expected, got) => expected.Differs(got)).FirstOrDefault(difference => difference is not null);
                    if (fault is null) Interlocked.Increment(ref answers);
                    else failures.Add($"{one.Name} by {way}: {fault}");
                }
                catch (Exception failure)
                {
                    failures.Add($"{one.Name} by {way}: {failure.Message}");
                }
            }
        }

        output.WriteLine($"{cases.Count} models, {answers} right answers in four ways, {untypable} typed requests that cannot be.");
        failures.Order().ShouldBeEmpty();
        (answers + untypable).ShouldBe(cases.Count * 4);
        cases.Count.ShouldBeGreaterThan(300);
    }

    [Theory]
    [InlineData(4, "a sequence")]
    [InlineData(5, "a map")]
    [InlineData(9, "optional")]
    public async Task A_model_that_gives_something_other_than_tensors_is_refused_at_upload(int kind, string words)
    {
        var tenant = await TestTenant.NewAsync();
        await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/models", new { name = "odd" })).ShouldBeAsync(201);
        using var file = new ByteArrayContent(OnnxFiles.NotATensor(kind));
        var problem = await (await tenant.Developer.PostAsync("api/v1/registry/models/odd/versions", file)).ShouldRefuseAsync(400, "onnx-not-a-tensor");
        problem.GetProperty("detail").GetString()!.ShouldContain($"The output 'y' is {words}");
    }

    private static IEnumerable<(string Way, Func<Case, Task<ConformanceTensor[]>> Ask)> Ways(TestTenant tenant, Client client)
    {
        yield return ("REST JSON", one => AskAsync(tenant, one, binary: false));
        yield return ("REST binary", one => AskAsync(tenant, one, binary: true));
        yield return ("gRPC raw", one => AskAsync(tenant, client, one, typed: false));
        yield return ("gRPC typed", one => AskAsync(tenant, client, one, typed: true));
    }

    private static async Task DeployAsync(TestTenant tenant, Case one)
    {
        var version = await tenant.UploadAsync(one.Endpoint, one.Model);
        await (await tenant.DeployAsync(one.Endpoint, one.Endpoint, version.ToString(CultureInfo.InvariantCulture), "buffered")).ShouldBeAsync(201);
    }

    private static async Task<ConformanceTensor[]> AskAsync(TestTenant tenant, Case one, bool binary)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteStartArray("inputs");
            foreach (var input in one.Inputs) input.WriteJson(json, binary);
            json.WriteEndArray();
            json.WriteStartObject("parameters");
            json.WriteBoolean("binary_data_output", binary);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        var header = (int)buffer.Length;
        if (binary) foreach (var input in one.Inputs) buffer.Write(input.Bytes);
        using var request = new HttpRequestMessage(HttpMethod.Post, $"v2/models/{one.Endpoint}/infer") { Content = new ByteArrayContent(buffer.ToArray()) };
        if (binary) request.Headers.Add(HeaderLength, header.ToString(CultureInfo.InvariantCulture));
        using var answer = await tenant.Developer.SendAsync(request);
        var body = await answer.Content.ReadAsByteArrayAsync();
        ((int)answer.StatusCode).ShouldBe(200, Encoding.UTF8.GetString(body));
        if (!binary) return [.. JsonDocument.Parse(body).RootElement.GetProperty("outputs").EnumerateArray().Select(ConformanceTensor.Parse)];

        var at = int.Parse(answer.Headers.GetValues(HeaderLength).Single(), CultureInfo.InvariantCulture);
        List<ConformanceTensor> outputs = [];
        foreach (var tensor in JsonDocument.Parse(body.AsMemory(0, at)).RootElement.GetProperty("outputs").EnumerateArray())
        {
            var length = tensor.GetProperty("parameters").GetProperty("binary_data_size").GetInt32();
            outputs.Add(new(tensor.GetProperty("name").GetString()!, Datatypes.Parse(tensor.GetProperty("datatype").GetString()!)!.Value,
                [.. tensor.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64())], body[at..(at + length)]));
            at += length;
        }
        at.ShouldBe(body.Length);
        return [.. outputs];
    }

    private static async Task<ConformanceTensor[]> AskAsync(TestTenant tenant, Client client, Case one, bool typed)
    {
        var request = new ModelInferRequest { ModelName = one.Endpoint, Inputs = { one.Inputs.Select(input => input.Described(typed)) } };
        if (!typed) request.RawInputContents.Add(one.Inputs.Select(input => ByteString.CopyFrom(input.Bytes)));
        var answer = await client.ModelInferAsync(request, new Metadata { { "authorization", $"Bearer {tenant.DeveloperKey}" } });
        return [.. answer.Outputs.Zip(answer.RawOutputContents, (tensor, bytes) => new ConformanceTensor(tensor.Name, Datatypes.Parse(tensor.Datatype)!.Value, [.. tensor.Shape], bytes.ToByteArray()))];
    }

    private static async Task<IReadOnlyCollection<Case>> ReadAsync(string path)
    {
        Dictionary<string, SortedDictionary<string, byte[]>> folders = [];
        await using var tar = new TarReader(new GZipStream(File.OpenRead(path), CompressionMode.Decompress));
        while (await tar.GetNextEntryAsync() is { } entry)
        {
            if (entry.DataStream is null) continue;
            string[] parts = entry.Name.TrimStart('.', '/').Split('/');
            using var bytes = new MemoryStream();
            await entry.DataStream.CopyToAsync(bytes);
            if (!folders.TryGetValue(parts[0], out var folder)) folders[parts[0]] = folder = new(StringComparer.Ordinal);
            folder[parts[^1]] = bytes.ToArray();
        }
        // Their names are longer than ours may be.
        return [.. folders.Select((folder, i) => new Case(folder.Key, $"node-{i}", folder.Value["model.onnx"], Tensors(folder.Value, "input_"), Tensors(folder.Value, "output_")))];

        static ConformanceTensor[] Tensors(SortedDictionary<string, byte[]> files, string prefix) =>
            [.. Enumerable.Range(0, files.Keys.Count(name => name.StartsWith(prefix, StringComparison.Ordinal))).Select(i => ConformanceTensor.Parse(files[$"{prefix}{i}.pb"]))];
    }

    private sealed record Case(string Name, string Endpoint, byte[] Model, ConformanceTensor[] Inputs, ConformanceTensor[] Outputs);
}
