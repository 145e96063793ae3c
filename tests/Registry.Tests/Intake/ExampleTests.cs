using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Google.Protobuf;
using Platform.Registry.Contracts;
using Platform.Registry.Intake;
using Platform.Registry.Onnx;
using Platform.Testing;
using Registry.Tests.Models;
using Registry.Tests.Onnx;

namespace Registry.Tests.Intake;

public sealed class ExampleTests
{
    private static readonly ModelSignature OneColumn = new([new("x", "FP32", [-1, 1])], []);
    private static readonly ModelSignature TwoColumns = new([new("a", "FP32", [-1, 1]), new("b", "BYTES", [-1, 1])], []);
    private static readonly ModelSignature Matrix = new([new("x", "FP32", [-1, 3])], []);

    [Theory]
    [InlineData("""{"inputs": {"x": 2.5}}""", "[1,1] [2.5]")]
    [InlineData("""{"x": [1, 2]}""", "[2,1] [1,2]")]
    [InlineData("""[[1], [2]]""", "[2,1] [1,2]")]
    [InlineData("""{"inputs": [{"name": "x", "shape": [2, 1], "datatype": "FP32", "data": [1, 2]}]}""", "[2,1] [1,2]")]
    [InlineData("""{"columns": ["x"], "data": [[1], [2], [3]]}""", "[3,1] [1,2,3]")]
    [InlineData("""{"dataframe_split": {"columns": ["x"], "data": [[1]]}}""", "[1,1] [1]")]
    [InlineData("""{"dataframe_records": [{"x": 1}, {"x": null}]}""", "[2,1] [1,null]")]
    [InlineData("""[{"x": 1}]""", "[1,1] [1]")]
    public void An_example_is_read_as_people_write_it(string json, string tensor) => Shown(InputExample.Read(Encoding.UTF8.GetBytes(json), OneColumn).Value).ShouldBe(tensor);

    [Fact]
    public void A_table_becomes_columns_or_the_one_matrix()
    {
        Shown(InputExample.Read("""{"columns": ["b", "a"], "data": [["k", 1], ["l", 2]]}"""u8.ToArray(), TwoColumns).Value).ShouldBe("""[2,1] [1,2]; [2,1] ["k","l"]""");
        Shown(InputExample.Read("""{"columns": ["p", "q", "r"], "data": [[1, 2, 3]]}"""u8.ToArray(), Matrix).Value).ShouldBe("[1,3] [1,2,3]");
        Shown(InputExample.Read("[1, 2, 3]"u8.ToArray(), Matrix).Value).ShouldBe("[1,3] [1,2,3]");
        Shown(InputExample.MadeUp(Matrix)!).ShouldBe("[1,3] [0,0,0]");
    }

    [Theory]
    [InlineData("nothing like JSON")]
    [InlineData("""{"y": 1}""")]
    [InlineData("""{"x": [[1, 2], [3]]}""")]
    [InlineData("""{"x": [[1, 2]]}""")]
    [InlineData("""{"inputs": [{"name": "x", "shape": [-1, 1], "data": [1]}]}""")]
    [InlineData("""{"columns": ["x"], "data": [1]}""")]
    public void An_example_that_does_not_fit_is_told(string json) => InputExample.Read(Encoding.UTF8.GetBytes(json), OneColumn).Refusal!.Code.ShouldBe("example-does-not-fit");

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_model_is_run_on_the_example_it_comes_with_and_what_that_took_is_kept(bool exampleFirst)
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("relu");
        var version = await (await UploadAsync(tenant, "relu", SmallModel.Make().ToByteArray(), """{"inputs": {"x": [2.5, -7]}}""", exampleFirst)).ShouldBeAsync(201);
        version.GetProperty("status").GetString().ShouldBe("ready");
        var example = version.GetProperty("intake").GetProperty("example");
        example.GetProperty("origin").GetString().ShouldBe("given");
        example.GetProperty("medianMs").GetDouble().ShouldBeGreaterThan(0);
        example.GetProperty("memoryBytes").GetInt64().ShouldBeGreaterThan(0);
        example.GetProperty("diskBytes").GetInt64().ShouldBe(version.GetProperty("artifactBytes").GetInt64());

        var kept = await (await tenant.Viewer.GetAsync($"{TestModels.Models}/relu/versions/1/example")).ShouldBeAsync(200);
        kept.GetProperty("inputs")[0].GetProperty("data").ToString().ShouldBe("[2.5,-7]");
        kept.GetProperty("outputs")[0].GetProperty("data").ToString().ShouldBe("[3.5,0]");
        var other = await TestTenant.NewAsync();
        await (await other.Admin.GetAsync($"{TestModels.Models}/relu/versions/1/example")).ShouldRefuseAsync(404, "no-such-model-version");
    }

    [Fact]
    public async Task Without_an_example_one_is_made_up_and_a_model_that_does_not_run_on_it_is_ready_with_a_warning()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("m");
        (await (await tenant.Developer.UploadAsync("m", SmallModel.Make().ToByteArray())).ShouldBeAsync(201)).GetProperty("intake").GetProperty("example").GetProperty("origin").GetString().ShouldBe("signature");

        var version = await (await tenant.Developer.UploadAsync("m", FailsOnZero())).ShouldBeAsync(201);
        version.GetProperty("status").GetString().ShouldBe("ready");
        version.GetProperty("intake").GetProperty("warnings")[0].GetProperty("code").GetString().ShouldBe("example-failed");
        await (await tenant.Developer.SetAliasAsync("m", "candidate", 2)).ShouldBeAsync(200);
    }

    [Fact]
    public async Task A_model_that_fails_on_its_own_example_is_quarantined_seen_and_used_for_nothing()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("bad");
        var version = await (await UploadAsync(tenant, "bad", FailsOnZero(), """{"x": [[0.0]]}""")).ShouldBeAsync(201);
        version.GetProperty("status").GetString().ShouldBe("quarantined");
        var reason = version.GetProperty("intake").GetProperty("quarantine")[0];
        reason.GetProperty("code").GetString().ShouldBe("example-failed");
        reason.GetProperty("mend").GetString().ShouldNotBeNullOrEmpty();

        var model = await (await tenant.Viewer.GetAsync($"{TestModels.Models}/bad")).ShouldBeAsync(200);
        model.GetProperty("versions")[0].GetProperty("status").GetString().ShouldBe("quarantined");
        await (await tenant.Developer.SetAliasAsync("bad", "candidate", 1)).ShouldRefuseAsync(409, "version-quarantined");
        await (await tenant.Viewer.GetAsync($"{TestModels.Models}/bad/versions/1/artifact")).ShouldRefuseAsync(409, "version-quarantined");
        (await (await tenant.Developer.PostAsJsonAsync("api/v1/inference/endpoints", new { name = "live", model = "bad", alias = "1" })).ShouldRefuseAsync(400, "version-not-servable")).GetProperty("detail").GetString()!.ShouldContain("quarantined");
        object members = new { kind = "weighted-mean", members = new[] { new { model = "bad", version = 1 }, new { model = "bad", version = 1 } } };
        await (await tenant.Developer.PostAsJsonAsync($"{TestModels.Models}/bad/composite-versions", members)).ShouldRefuseAsync(400, "member-not-servable");
        await (await tenant.Admin.PutAsJsonAsync($"{TestModels.Models}/bad/versions/1/sharing", new { everyone = true })).ShouldRefuseAsync(409, "version-quarantined");
    }

    [Fact]
    public async Task An_example_that_does_not_fit_its_model_is_refused_and_no_version_is_made()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("m");
        (await (await UploadAsync(tenant, "m", SmallModel.Make().ToByteArray(), """{"y": 1}""")).ShouldRefuseAsync(400, "example-does-not-fit")).GetProperty("field").GetString().ShouldBe("example");
        (await (await tenant.Viewer.GetAsync($"{TestModels.Models}/m")).ShouldBeAsync(200)).GetProperty("versions").GetArrayLength().ShouldBe(0);
    }

    [Fact]
    public async Task A_model_that_hangs_on_its_example_is_ended_and_quarantined()
    {
        await using var app = await PlatformApp.StartOwnAsync(new Dictionary<string, string> { ["PLATFORM_EXAMPLE_SECONDS"] = "5" });
        var tenant = await TestTenant.NewAsync(app);
        await tenant.RegisterAsync("endless");
        var version = await (await tenant.Developer.UploadAsync("endless", Endless())).ShouldBeAsync(201);
        version.GetProperty("intake").GetProperty("quarantine")[0].GetProperty("code").GetString().ShouldBe("example-timed-out");
        // And what comes after it is not kept waiting.
        (await (await tenant.Developer.UploadAsync("endless", SmallModel.Make().ToByteArray())).ShouldBeAsync(201)).GetProperty("status").GetString().ShouldBe("ready");
    }

    [Theory]
    [InlineData("Repr-Digest")]
    [InlineData("Content-Digest")]
    public async Task A_digest_of_the_standard_is_checked(string header)
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("m");
        var file = SmallModel.Make().ToByteArray();
        await (await SendAsync($"sha-512=:AAAA:, sha-256=:{Convert.ToBase64String(SHA256.HashData(file))}:")).ShouldBeAsync(201);
        await (await SendAsync($"sha-256=:{Convert.ToBase64String(SHA256.HashData([1]))}:")).ShouldRefuseAsync(400, "hash-mismatch");
        await (await SendAsync("sha-256=abc")).ShouldRefuseAsync(400, "bad-digest");

        async Task<HttpResponseMessage> SendAsync(string digest)
        {
            using var content = new ByteArrayContent(file) { Headers = { ContentType = new MediaTypeHeaderValue("application/octet-stream") } };
            using var request = new HttpRequestMessage(HttpMethod.Post, $"{TestModels.Models}/m/versions") { Content = content };
            (header.StartsWith("Content", StringComparison.Ordinal) ? (HttpHeaders)content.Headers : request.Headers).TryAddWithoutValidation(header, digest).ShouldBeTrue();
            return await tenant.Developer.SendAsync(request);
        }
    }

    internal static async Task<HttpResponseMessage> UploadAsync(TestTenant tenant, string model, byte[] file, string example, bool exampleFirst = true)
    {
        using var form = new MultipartFormDataContent();
        if (exampleFirst) form.Add(new StringContent(example), "example");
        form.Add(new ByteArrayContent(file), "file", "model.onnx");
        if (!exampleFirst) form.Add(new StringContent(example), "example");
        return await tenant.Developer.PostAsync($"{TestModels.Models}/{model}/versions", form);
    }

    /// <summary>Looks up a row by an input that is out of range at 0: index = cast(x) - 5 into one row.</summary>
    private static byte[] FailsOnZero() => SmallModel.With(m =>
    {
        m.Graph.Initializer.Clear();
        m.Graph.Node.Clear();
        m.Graph.Initializer.Add(new OnnxTensor { Name = "table", DataType = 1, Dims = { 1 }, FloatData = { 1 } });
        m.Graph.Initializer.Add(new OnnxTensor { Name = "five", DataType = 7, Dims = { 1 }, Int64Data = { 5 } });
        var cast = SmallModel.Node("Cast", ["x"], "whole");
        cast.Attribute.Add(new OnnxAttribute { Name = "to", Kind = OnnxAttribute.Types.Kind.Int, I = 7 });
        m.Graph.Node.Add(cast);
        m.Graph.Node.Add(SmallModel.Node("Sub", ["whole", "five"], "index"));
        m.Graph.Node.Add(SmallModel.Node("Gather", ["table", "index"], "y"));
    }).ToByteArray();

    /// <summary>A loop of 2^62 rounds.</summary>
    private static byte[] Endless() => SmallModel.With(m =>
    {
        m.Graph.Initializer.Clear();
        m.Graph.Node.Clear();
        m.Graph.Initializer.Add(new OnnxTensor { Name = "rounds", DataType = 7, Int64Data = { 1L << 62 } });
        var body = new OnnxGraph
        {
            Name = "body",
            Input = { SmallModel.Value("round", 7), SmallModel.Value("go", 9), SmallModel.Value("state", 1, -1, 1) },
            Output = { SmallModel.Value("go_on", 9), SmallModel.Value("next", 1, -1, 1) },
            Node = { SmallModel.Node("Identity", ["go"], "go_on"), SmallModel.Node("Neg", ["state"], "next") },
        };
        var loop = new OnnxNode { OpType = "Loop", Input = { "rounds", "", "x" }, Output = { "y" } };
        loop.Attribute.Add(new OnnxAttribute { Name = "body", Kind = OnnxAttribute.Types.Kind.Graph, G = body });
        m.Graph.Node.Add(loop);
    }).ToByteArray();

    private static string Shown(IReadOnlyList<ExampleTensor> tensors) => string.Join("; ", tensors.Select(t => $"[{string.Join(",", t.Shape)}] {JsonSerializer.Serialize(t.Data)}"));
}
