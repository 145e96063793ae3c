using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using Google.Protobuf;
using Platform.Registry.Onnx;
using Platform.Testing;
using Registry.Tests.Mlflow;
using Registry.Tests.Onnx;

namespace Registry.Tests.Models;

public sealed class UploadVersionTests
{
    private static readonly byte[] File = SmallModel.Make().ToByteArray();

    [Fact]
    public async Task An_uploaded_file_becomes_a_version_with_its_signature_and_can_be_taken_away_again()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("relu");

        var version = await (await tenant.Developer.UploadAsync("relu", File, Convert.ToHexString(SHA256.HashData(File)))).ShouldBeAsync(201);

        version.GetProperty("version").GetInt32().ShouldBe(1);
        version.GetProperty("source").GetString().ShouldBe("upload");
        version.GetProperty("author").GetString().ShouldStartWith("key:");
        version.GetProperty("artifactSha256").GetString().ShouldBe(Convert.ToHexStringLower(SHA256.HashData(File)));
        version.GetProperty("signature").GetProperty("inputs")[0].GetProperty("datatype").GetString().ShouldBe("FP32");
        version.GetProperty("columns")[0].GetProperty("kind").GetString().ShouldBe("number");
        version.GetProperty("predictionOutput").GetString().ShouldBe("y");
        version.GetProperty("facts").GetProperty("operators").GetProperty("Relu").GetInt32().ShouldBe(1);

        var read = await (await tenant.Viewer.GetAsync($"{TestModels.Models}/relu/versions/1")).ShouldBeAsync(200);
        read.ToString().ShouldBe(version.ToString());
        (await tenant.Viewer.GetByteArrayAsync($"{TestModels.Models}/relu/versions/1/artifact")).ShouldBe(File);
        (await tenant.Viewer.GetAsync($"{TestModels.Models}/relu/versions/1/artifact")).Content.Headers.ContentDisposition!.FileName!.Trim('"').ShouldBe("relu-1.onnx");
        await (await tenant.Viewer.GetAsync($"{TestModels.Models}/relu/versions/1/log")).ShouldRefuseAsync(404, "no-such-training-log");
    }

    [Fact]
    public async Task A_form_with_a_file_is_taken_too()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("relu");
        using var form = new MultipartFormDataContent { { new StringContent("a note"), "note" }, { new ByteArrayContent(File), "file", "relu.onnx" } };
        var version = await (await tenant.Developer.PostAsync($"{TestModels.Models}/relu/versions", form)).ShouldBeAsync(201);
        version.GetProperty("artifactBytes").GetInt64().ShouldBe(File.Length);

        using var empty = new MultipartFormDataContent { { new StringContent("a note"), "note" } };
        await (await tenant.Developer.PostAsync($"{TestModels.Models}/relu/versions", empty)).ShouldRefuseAsync(400, "no-file");
        await (await tenant.Developer.PostAsJsonAsync($"{TestModels.Models}/relu/versions", new { file = "x" })).ShouldRefuseAsync(415, "unsupported-content");
    }

    [Fact]
    public async Task Uploads_at_the_same_moment_become_versions_one_after_the_other()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("busy");
        var answers = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => tenant.Developer.UploadAsync("busy", File)));
        var versions = await Task.WhenAll(answers.Select(async a => (await a.ShouldBeAsync(201)).GetProperty("version").GetInt32()));
        versions.Order().ShouldBe([1, 2, 3, 4]);
    }

    [Fact]
    public async Task A_file_that_is_not_a_sound_model_is_refused_and_leaves_nothing_behind()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("broken");
        await Refuses("not-onnx", "id,price\n1,2\n"u8.ToArray());
        await Refuses("onnx-no-graph", []);
        await Refuses("not-onnx", File[..^60]);
        await Refuses("onnx-unknown-opset", SmallModel.With(m => m.OpsetImport[0].Version = 99).ToByteArray());
        await Refuses("onnx-custom-operator", SmallModel.With(m => m.Graph.Node[1].Domain = "com.example").ToByteArray());
        await Refuses("onnx-external-data", SmallModel.With(m => m.Graph.Initializer[0].ExternalData.Add(new OnnxPair { Key = "location", Value = "../../etc/passwd" })).ToByteArray());
        await Refuses("onnx-does-not-load", SmallModel.With(m => m.Graph.Node[1].OpType = "NoSuchOperator").ToByteArray());

        var model = await (await tenant.Viewer.GetAsync($"{TestModels.Models}/broken")).ShouldBeAsync(200);
        model.GetProperty("versions").GetArrayLength().ShouldBe(0);
        var blobs = Path.Combine(tenant.App.Data, "blobs", tenant.Id);
        Directory.GetFiles(blobs, "*", SearchOption.AllDirectories).ShouldBeEmpty();

        async Task Refuses(string code, byte[] file)
        {
            var problem = await (await tenant.Developer.UploadAsync("broken", file)).ShouldRefuseAsync(400, code);
            problem.GetProperty("field").GetString().ShouldBe("file");
            problem.GetProperty("mend").GetString().ShouldNotBeNullOrEmpty();
        }
    }

    [Fact]
    public async Task A_file_changed_on_the_way_is_refused_by_its_hash_and_not_kept()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("hashed");
        var problem = await (await tenant.Developer.UploadAsync("hashed", File, Convert.ToHexStringLower(SHA256.HashData("other"u8)))).ShouldRefuseAsync(400, "hash-mismatch");
        problem.GetProperty("detail").GetString()!.ShouldContain(Convert.ToHexStringLower(SHA256.HashData(File)));
        await (await tenant.Developer.UploadAsync("hashed", File, "abc")).ShouldRefuseAsync(400, "invalid-field");
        Directory.GetFiles(Path.Combine(tenant.App.Data, "blobs", tenant.Id), "*", SearchOption.AllDirectories).ShouldBeEmpty();
    }

    [Fact]
    public async Task A_refused_upload_does_not_take_the_file_of_a_version_with_the_same_content()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterWithVersionAsync("kept");
        await (await tenant.Developer.UploadAsync("kept", File, Convert.ToHexStringLower(SHA256.HashData("other"u8)))).ShouldRefuseAsync(400, "hash-mismatch");
        await (await tenant.Developer.UploadAsync("kept", File, query: "?predictionOutput=nope")).ShouldRefuseAsync(400, "unknown-output");
        (await tenant.Viewer.GetByteArrayAsync($"{TestModels.Models}/kept/versions/1/artifact")).ShouldBe(File);
    }

    [Fact]
    public async Task A_refused_upload_does_not_take_the_content_of_a_runs_artifact_with_it()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("m");
        byte[] content = [.. "no model, but an artifact"u8];
        await (await tenant.Developer.PutFileAsync("0/r/artifacts/notes.txt", content)).ShouldBeAsync(200);
        await (await tenant.Developer.UploadAsync("m", content)).ShouldRefuseAsync(400, "not-onnx");
        (await tenant.Viewer.GetByteArrayAsync($"{TestMlflow.Files}/0/r/artifacts/notes.txt")).ShouldBe(content);
    }

    [Fact]
    public async Task A_file_over_the_operators_limit_is_refused()
    {
        await using var app = await PlatformApp.StartOwnAsync(new Dictionary<string, string> { ["PLATFORM_MAX_MODEL_BYTES"] = "1000" });
        var tenant = await TestTenant.NewAsync(app);
        await tenant.RegisterAsync("small");
        await (await tenant.Developer.UploadAsync("small", File)).ShouldBeAsync(201);
        await (await tenant.Developer.UploadAsync("small", new byte[1_001])).ShouldRefuseAsync(413, "too-large");
        await (await tenant.Developer.UploadAsync("small", new byte[3_000_000])).ShouldRefuseAsync(413, "too-large");
    }

    [Fact]
    public async Task A_model_larger_than_any_JSON_body_may_be_is_taken()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("large");
        var weights = new OnnxTensor { Name = "weights", DataType = 1, Dims = { 10_000_000 } };
        weights.FloatData.AddRange(new float[10_000_000]);
        var file = SmallModel.With(m => m.Graph.Initializer.Add(weights)).ToByteArray();
        file.Length.ShouldBeGreaterThan(32 << 20);
        await (await tenant.Developer.UploadAsync("large", file)).ShouldBeAsync(201);
    }

    [Fact]
    public async Task A_version_cannot_be_uploaded_where_there_is_no_model_or_by_a_viewer()
    {
        var tenant = await TestTenant.NewAsync();
        await (await tenant.Developer.UploadAsync("nowhere", File)).ShouldRefuseAsync(404, "no-such-model");
        await (await tenant.Viewer.UploadAsync("nowhere", File)).ShouldRefuseAsync(403, "permission-missing");
        await (await tenant.Developer.PostAsync($"{TestModels.Models}/nowhere/versions", new StringContent("x", Encoding.UTF8, "application/octet-stream"))).ShouldRefuseAsync(404, "no-such-model");
    }
}
