using System.Net.Http.Json;
using System.Text.Json;
using Google.Protobuf;
using Platform.Testing;
using Registry.Tests.Mlflow;
using Registry.Tests.Models;
using Registry.Tests.Onnx;

namespace Registry.Tests.Intake;

public sealed class MlflowFolderTests
{
    private static readonly byte[] Pickle = Convert.FromHexString((string)PickleTests.Pickles.First()[1]);

    [Fact]
    public async Task A_pickle_beside_an_ONNX_file_is_named_and_never_opened_and_the_ONNX_file_is_served()
    {
        var tenant = await TestTenant.NewAsync();
        var version = await VersionAsync(tenant, ("model.onnx", SmallModel.Make().ToByteArray()), ("python_model.pkl", Pickle), ("disguised.txt", Pickle), ("input_example.json", """{"columns": ["x"], "data": [[2.5]]}"""u8.ToArray()));
        version.GetProperty("status").GetString().ShouldBe("READY");
        var known = await (await tenant.Viewer.GetAsync($"{TestModels.Models}/m/versions/1")).ShouldBeAsync(200);
        known.GetProperty("intake").GetProperty("warnings").EnumerateArray().Select(w => w.GetProperty("detail").GetString()!.Split('\'')[1]).ShouldBe(["disguised.txt", "python_model.pkl"], ignoreOrder: true);
        known.GetProperty("intake").GetProperty("example").GetProperty("origin").GetString().ShouldBe("folder");
        (await (await tenant.Viewer.GetAsync($"{TestModels.Models}/m/versions/1/example")).ShouldBeAsync(200)).GetProperty("outputs")[0].GetProperty("data").ToString().ShouldBe("[3.5]");
        await (await tenant.Developer.PostAsJsonAsync("api/v1/inference/endpoints", new { name = "live", model = "m", alias = "1" })).ShouldBeAsync(201);
    }

    [Fact]
    public async Task A_pickle_that_is_called_ONNX_quarantines_the_version()
    {
        var tenant = await TestTenant.NewAsync();
        var version = await VersionAsync(tenant, ("model.onnx", Pickle));
        version.GetProperty("status").GetString().ShouldBe("FAILED_REGISTRATION");
        version.GetProperty("status_message").GetString()!.ShouldContain("pickle");
        var said = await tenant.Developer.RefusesAsync("POST", "registered-models/alias", new { name = "m", alias = "candidate", version = "1" }, 409, "RESOURCE_CONFLICT");
        said.ShouldContain("quarantined");
        await tenant.Developer.RefusesAsync("GET", "model-versions/get-download-uri?name=m&version=1", null, 409, "RESOURCE_CONFLICT");
    }

    [Fact]
    public async Task An_archive_that_climbs_out_quarantines_the_version()
    {
        var tenant = await TestTenant.NewAsync();
        var version = await VersionAsync(tenant, ("model.onnx", SmallModel.Make().ToByteArray()), ("data/extra.zip", PickleTests.Zip(("../../x", [1]))));
        version.GetProperty("status").GetString().ShouldBe("FAILED_REGISTRATION");
        (await (await tenant.Viewer.GetAsync($"{TestModels.Models}/m/versions/1")).ShouldBeAsync(200)).GetProperty("intake").GetProperty("quarantine")[0].GetProperty("code").GetString().ShouldBe("unsafe-archive");
    }

    [Fact]
    public async Task Data_files_beside_the_model_are_carried_along_and_the_version_is_one_file()
    {
        var tenant = await TestTenant.NewAsync();
        var version = await VersionAsync(tenant, ("model.onnx", SizeTests.External("weights.bin")), ("weights.bin", BitConverter.GetBytes(40f)));
        version.GetProperty("status").GetString().ShouldBe("READY", version.ToString());
        (await (await tenant.Viewer.GetAsync($"{TestModels.Models}/m/versions/1")).ShouldBeAsync(200)).GetProperty("intake").GetProperty("filesInlined").GetBoolean().ShouldBeTrue();
        await (await tenant.Developer.PostAsJsonAsync("api/v1/inference/endpoints", new { name = "live", model = "m", alias = "1" })).ShouldBeAsync(201);
        (await (await tenant.Developer.PostAsJsonAsync("api/v1/inference/endpoints/live/predict", new { inputs = new { x = 2.5 } })).ShouldBeAsync(200)).ToString().ShouldContain("42.5");

        var climbing = await VersionAsync(tenant, ("model.onnx", SizeTests.External("../weights.bin")), ("weights.bin", BitConverter.GetBytes(40f)));
        climbing.GetProperty("status").GetString().ShouldBe("FAILED_REGISTRATION");
        climbing.GetProperty("status_message").GetString()!.ShouldContain("climbs out");
    }

    private static async Task<JsonElement> VersionAsync(TestTenant tenant, params (string Path, byte[] Content)[] files)
    {
        await tenant.Developer.SendAsync("POST", "registered-models/create", new { name = "m" });
        var run = await tenant.NewRunAsync();
        foreach (var (path, content) in files) await (await tenant.Developer.PutFileAsync($"0/{run}/artifacts/model/{path}", content)).ShouldBeAsync(200);
        return (await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = "m", source = $"runs:/{run}/model", run_id = run })).GetProperty("model_version");
    }
}
