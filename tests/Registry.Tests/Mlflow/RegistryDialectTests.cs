using System.Net;
using System.Net.Http.Json;
using Google.Protobuf;
using Platform.Registry.Mlflow;
using Platform.Testing;
using Registry.Tests.Models;
using Registry.Tests.Onnx;

namespace Registry.Tests.Mlflow;

public sealed class RegistryDialectTests
{
    private const string OnnxDescription = "artifact_path: model\nflavors:\n  onnx:\n    # the file\n    data: net.onnx\n    providers:\n    - CPUExecutionProvider\n  python_function:\n    data: other\n";

    [Fact]
    public async Task A_folder_with_an_ONNX_file_becomes_a_version_that_is_served_and_loaded_back()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        await LogAsync(tenant, run, ("MLmodel", OnnxDescription.ToBytes()), ("net.onnx", SmallModel.Make().ToByteArray()), ("other.onnx", [1]), ("requirements.txt", "onnx".ToBytes()));
        await tenant.Developer.OkAsync("POST", "registered-models/create", new { name = "Relu_1" });
        var version = (await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = "Relu_1", source = $"mlflow-artifacts:/0/{run}/artifacts/model", run_id = run, description = "d", tags = new[] { new { key = "t", value = "1" } } })).GetProperty("model_version");
        version.GetProperty("version").GetString().ShouldBe("1");
        version.GetProperty("status").GetString().ShouldBe("READY");
        version.GetProperty("run_id").GetString().ShouldBe(run);
        version.GetProperty("current_stage").GetString().ShouldBe("None");
        version.TryGetProperty("status_message", out _).ShouldBeFalse();

        var known = await (await tenant.Viewer.GetAsync($"{TestModels.Models}/Relu_1/versions/1")).ShouldBeAsync(200);
        known.GetProperty("kind").GetString().ShouldBe("onnx");
        known.GetProperty("source").GetString().ShouldBe("mlflow");
        known.GetProperty("columns")[0].GetProperty("name").GetString().ShouldBe("x");
        known.GetProperty("description").GetString().ShouldBe("d");
        await (await tenant.Developer.PostAsJsonAsync("api/v1/inference/endpoints", new { name = "live", model = "Relu_1", alias = "1" })).ShouldBeAsync(201);
        var answer = await (await tenant.Developer.PostAsJsonAsync("api/v1/inference/endpoints/live/predict", new { inputs = new { x = 2.5 } })).ShouldBeAsync(200);
        answer.ToString().ShouldContain("3.5");

        // What is served or pointed at is not deleted.
        await tenant.Developer.RefusesAsync("DELETE", "model-versions/delete", new { name = "Relu_1", version = "1" }, 409, "RESOURCE_CONFLICT");
        await tenant.Developer.RefusesAsync("DELETE", "registered-models/delete", new { name = "Relu_1" }, 409, "RESOURCE_CONFLICT");
        await tenant.Developer.RefusesAsync("POST", "registered-models/rename", new { name = "Relu_1", new_name = "relu2" }, 409, "RESOURCE_CONFLICT");
    }

    [Fact]
    public async Task Any_other_folder_is_kept_as_it_was_given_back_and_says_why_it_is_not_served()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        await LogAsync(tenant, run, ("MLmodel", "flavors:\n  sklearn:\n    pickled_model: model.pkl\n".ToBytes()), ("model.pkl", [1, 2, 3]), ("code/a.py", "1".ToBytes()));
        await tenant.Developer.OkAsync("POST", "registered-models/create", new { name = "My_Model" });
        var version = (await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = "My_Model", source = $"runs:/{run}/model", run_id = run })).GetProperty("model_version");
        version.GetProperty("status_message").GetString()!.ShouldContain("no ONNX file");
        var known = await (await tenant.Viewer.GetAsync($"{TestModels.Models}/My_Model/versions/1")).ShouldBeAsync(200);
        known.GetProperty("kind").GetString().ShouldBe("folder");
        known.GetProperty("mlflow").GetProperty("whyNotServed").GetString()!.ShouldContain("no ONNX file");
        await (await tenant.Viewer.GetAsync($"{TestModels.Models}/My_Model/versions/1/artifact")).ShouldRefuseAsync(404, "no-single-artifact");

        // It can be approved, and the endpoint that cannot serve it says so.
        await (await tenant.Developer.PostAsJsonAsync("api/v1/governance/approvals", new { model = "My_Model", version = 1 })).ShouldBeAsync(201);
        (await (await tenant.Developer.PostAsJsonAsync("api/v1/inference/endpoints", new { name = "live", model = "My_Model", alias = "1" })).ShouldRefuseAsync(400, "version-not-servable")).GetProperty("detail").GetString()!.ShouldContain("no ONNX file");

        // What is logged into the run afterwards is not the version's.
        await (await tenant.Developer.PutFileAsync($"0/{run}/artifacts/model/model.pkl", [9])).ShouldBeAsync(200);
        var uri = (await tenant.Viewer.OkAsync("GET", "model-versions/get-download-uri?name=My_Model&version=1")).GetProperty("artifact_uri").GetString()!;
        var folder = uri["mlflow-artifacts:/".Length..];
        var files = await (await tenant.Viewer.GetAsync($"{TestMlflow.Files}?path={folder}")).ShouldBeAsync(200);
        files.GetProperty("files").EnumerateArray().Select(f => f.GetProperty("path").GetString()).ShouldBe(["MLmodel", "code", "model.pkl"], ignoreOrder: true);
        (await tenant.Viewer.GetByteArrayAsync($"{TestMlflow.Files}/{folder}/model.pkl")).ShouldBe([1, 2, 3]);
        await (await tenant.Developer.PutFileAsync($"{folder}/model.pkl", [9])).ShouldBeAsync(403);
        await (await tenant.Developer.DeleteAsync($"{TestMlflow.Files}/{folder}/model.pkl")).ShouldBeAsync(403);

        // A copy of it under another name has the same files.
        await tenant.Developer.OkAsync("POST", "registered-models/create", new { name = "copy" });
        await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = "copy", source = "models:/My_Model/1" });
        (await tenant.Viewer.OkAsync("GET", "model-versions/get-download-uri?name=copy&version=1")).GetProperty("artifact_uri").GetString().ShouldNotBe(uri);
        await tenant.Developer.RefusesAsync("POST", "model-versions/create", new { name = "copy", source = "models:/nothing/1" }, 404, "RESOURCE_DOES_NOT_EXIST");
    }

    [Fact]
    public async Task A_broken_ONNX_file_is_kept_and_told_and_several_need_a_name()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.Developer.OkAsync("POST", "registered-models/create", new { name = "m" });
        async Task<string> WhyAsync(params (string, byte[])[] files)
        {
            var run = await tenant.NewRunAsync();
            await LogAsync(tenant, run, files);
            return (await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = "m", source = $"mlflow-artifacts:/0/{run}/artifacts/model" })).GetProperty("model_version").GetProperty("status_message").GetString()!;
        }

        (await WhyAsync(("model.onnx", SmallModel.Make().ToByteArray()[..^60]))).ShouldContain("ONNX");
        (await WhyAsync(("a.onnx", [1]), ("b.onnx", [2]))).ShouldContain("several ONNX files");
        (await WhyAsync()).ShouldContain("no files");
        var elsewhere = (await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = "m", source = "s3://bucket/model" })).GetProperty("model_version");
        elsewhere.GetProperty("version").GetString().ShouldBe("4");
        (await tenant.Viewer.OkAsync("GET", "model-versions/get-download-uri?name=m&version=4")).GetProperty("artifact_uri").GetString().ShouldBe("s3://bucket/model");
    }

    [Fact]
    public async Task The_gate_on_champion_holds_here_too()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterWithVersionAsync("prices");
        var said = await tenant.Developer.RefusesAsync("POST", "registered-models/alias", new { name = "prices", alias = "champion", version = "1" }, 403, "PERMISSION_DENIED");
        said.ShouldContain("approval");
        await tenant.Developer.RefusesAsync("GET", "registered-models/alias?name=prices&alias=champion", null, 400, "INVALID_PARAMETER_VALUE");

        var approval = await (await tenant.Developer.PostAsJsonAsync("api/v1/governance/approvals", new { model = "prices", version = 1 })).ShouldBeAsync(201);
        await (await tenant.Admin.PostAsJsonAsync($"api/v1/governance/approvals/{approval.GetProperty("id")}/grant", new { })).ShouldBeAsync(200);
        await tenant.Developer.OkAsync("POST", "registered-models/alias", new { name = "prices", alias = "champion", version = "1" });
        var version = (await tenant.Viewer.OkAsync("GET", "registered-models/alias?name=prices&alias=champion")).GetProperty("model_version");
        version.GetProperty("aliases")[0].GetString().ShouldBe("champion");
        await tenant.Developer.RefusesAsync("DELETE", "model-versions/delete", new { name = "prices", version = "1" }, 409, "RESOURCE_CONFLICT");
        foreach (var alias in new[] { "latest", "Latest", "v3", "12", "a b", "" })
        {
            await tenant.Developer.RefusesAsync("POST", "registered-models/alias", new { name = "prices", alias, version = "1" }, 400, "INVALID_PARAMETER_VALUE");
            await tenant.Developer.RefusesAsync("DELETE", "registered-models/alias", new { name = "prices", alias }, 400, "INVALID_PARAMETER_VALUE");
        }

        await tenant.Developer.OkAsync("POST", "registered-models/alias", new { name = "prices", alias = "Best_Yet", version = "1" });
        await tenant.Developer.OkAsync("DELETE", "registered-models/alias", new { name = "prices", alias = "Best_Yet" });
        await tenant.Developer.OkAsync("DELETE", "registered-models/alias", new { name = "prices", alias = "Best_Yet" });
    }

    [Fact]
    public async Task Latest_is_the_version_that_was_added_last()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.Developer.OkAsync("POST", "registered-models/create", new { name = "m" });
        const string Latest = "registered-models/alias?name=m&alias=latest";
        await tenant.Viewer.RefusesAsync("GET", Latest, null, 404, "RESOURCE_DOES_NOT_EXIST");
        for (var i = 0; i < 3; i++) await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = "m", source = "s3://b/m" });
        await tenant.Developer.OkAsync("POST", "model-versions/transition-stage", new { name = "m", version = "3", stage = "Production" });
        await tenant.Developer.OkAsync("POST", "registered-models/alias", new { name = "m", alias = "best", version = "3" });
        var latest = (await tenant.Viewer.OkAsync("GET", Latest)).GetProperty("model_version");
        (latest.GetProperty("version").GetString(), latest.GetProperty("aliases").GetRawText()).ShouldBe(("3", "[\"best\"]"));
        (await tenant.Viewer.OkAsync("GET", "registered-models/alias?name=m&alias=LATEST")).GetProperty("model_version").GetProperty("version").GetString().ShouldBe("3");
        await tenant.Developer.OkAsync("DELETE", "registered-models/alias", new { name = "m", alias = "best" });
        await tenant.Developer.OkAsync("DELETE", "model-versions/delete", new { name = "m", version = "3" });
        (await tenant.Viewer.OkAsync("GET", Latest)).GetProperty("model_version").GetProperty("version").GetString().ShouldBe("2");
        await tenant.Viewer.RefusesAsync("GET", "registered-models/alias?name=m&alias=v3", null, 400, "INVALID_PARAMETER_VALUE");
        await tenant.Viewer.RefusesAsync("GET", "registered-models/alias?name=nothing&alias=latest", null, 404, "RESOURCE_DOES_NOT_EXIST");
    }

    [Fact]
    public async Task Models_and_versions_are_described_tagged_staged_searched_renamed_and_deleted()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.Developer.OkAsync("POST", "registered-models/create", new { name = "m", description = "d", tags = new[] { new { key = "team", value = "x" } } });
        await tenant.Developer.RefusesAsync("POST", "registered-models/create", new { name = "m" }, 400, "RESOURCE_ALREADY_EXISTS");
        foreach (var name in new[] { "a/b", "a:b", "a\\b", " ", "\t " }) await tenant.Developer.RefusesAsync("POST", "registered-models/create", new { name }, 400, "INVALID_PARAMETER_VALUE");
        await tenant.Developer.RefusesAsync("POST", "registered-models/rename", new { name = "m", new_name = "  " }, 400, "INVALID_PARAMETER_VALUE");
        // The name that it has is a name it can have.
        (await tenant.Developer.OkAsync("POST", "registered-models/rename", new { name = "m", new_name = "m" })).GetProperty("registered_model").GetProperty("description").GetString().ShouldBe("d");
        await tenant.Developer.RefusesAsync("POST", "registered-models/rename", new { name = "nothing", new_name = "nothing" }, 404, "RESOURCE_DOES_NOT_EXIST");
        for (var i = 0; i < 3; i++) await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = "m", source = "s3://b/m", run_id = $"r{i}" });

        await tenant.Developer.OkAsync("PATCH", "registered-models/update", new { name = "m", description = "new" });
        await tenant.Developer.OkAsync("POST", "registered-models/set-tag", new { name = "m", key = "k", value = "v" });
        await tenant.Developer.OkAsync("DELETE", "registered-models/delete-tag", new { name = "m", key = "team" });
        await tenant.Developer.OkAsync("PATCH", "model-versions/update", new { name = "m", version = "2", description = "two" });
        await tenant.Developer.OkAsync("POST", "model-versions/set-tag", new { name = "m", version = "2", key = "ok", value = "yes" });
        await tenant.Developer.OkAsync("POST", "model-versions/set-tag", new { name = "m", version = "2", key = "no", value = "no" });
        await tenant.Developer.OkAsync("DELETE", "model-versions/delete-tag", new { name = "m", version = "2", key = "no" });
        await tenant.Developer.OkAsync("POST", "model-versions/transition-stage", new { name = "m", version = "1", stage = "Production", archive_existing_versions = true });
        await tenant.Developer.OkAsync("POST", "model-versions/transition-stage", new { name = "m", version = "2", stage = "production", archive_existing_versions = true });
        await tenant.Developer.RefusesAsync("POST", "model-versions/transition-stage", new { name = "m", version = "2", stage = "Live" }, 400, "INVALID_PARAMETER_VALUE");

        var model = (await tenant.Viewer.OkAsync("GET", "registered-models/get?name=m")).GetProperty("registered_model");
        model.GetProperty("description").GetString().ShouldBe("new");
        model.GetProperty("tags").EnumerateArray().Select(t => t.GetProperty("key").GetString()).ShouldBe(["k"]);
        model.GetProperty("latest_versions").EnumerateArray().Select(v => $"{v.GetProperty("version")} {v.GetProperty("current_stage")}").ShouldBe(["1 Archived", "2 Production", "3 None"]);
        var latest = await tenant.Viewer.OkAsync("POST", "registered-models/get-latest-versions", new { name = "m", stages = new[] { "Production" } });
        latest.GetProperty("model_versions").EnumerateArray().ShouldHaveSingleItem().GetProperty("version").GetString().ShouldBe("2");
        var two = (await tenant.Viewer.OkAsync("GET", "model-versions/get?name=m&version=2")).GetProperty("model_version");
        two.GetProperty("description").GetString().ShouldBe("two");
        two.GetProperty("tags").GetRawText().ShouldBe("""[{"key":"ok","value":"yes"}]""");

        foreach (var (filter, expected) in new[] { ("name='m'", 3), ("run_id = 'r1'", 1), ("tags.ok = 'yes'", 1), ("name='other'", 0), ("", 3), ("version_number > 1", 2) })
        {
            var found = await tenant.Viewer.OkAsync("GET", $"model-versions/search?filter={Uri.EscapeDataString(filter)}&max_results=10000");
            (found.TryGetProperty("model_versions", out var versions) ? versions.GetArrayLength() : 0).ShouldBe(expected, filter);
        }

        await tenant.Developer.OkAsync("POST", "registered-models/create", new { name = "z" });
        var models = await tenant.Viewer.OkAsync("GET", $"registered-models/search?max_results=1&order_by={Uri.EscapeDataString("name DESC")}");
        models.GetProperty("registered_models")[0].GetProperty("name").GetString().ShouldBe("z");
        models = await tenant.Viewer.OkAsync("GET", $"registered-models/search?max_results=1&order_by={Uri.EscapeDataString("name DESC")}&page_token={Uri.EscapeDataString(models.GetProperty("next_page_token").GetString()!)}");
        models.GetProperty("registered_models")[0].GetProperty("name").GetString().ShouldBe("m");
        (await tenant.Viewer.OkAsync("GET", $"registered-models/search?filter={Uri.EscapeDataString("tags.k = 'v' and name ILIKE 'M%'")}")).GetProperty("registered_models").GetArrayLength().ShouldBe(1);

        // A number is used once, even after its version is gone.
        await tenant.Developer.OkAsync("DELETE", "model-versions/delete", new { name = "m", version = "3" });
        await tenant.Viewer.RefusesAsync("GET", "model-versions/get?name=m&version=3", null, 404, "RESOURCE_DOES_NOT_EXIST");
        (await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = "m", source = "s3://b/m" })).GetProperty("model_version").GetProperty("version").GetString().ShouldBe("4");

        var renamed = (await tenant.Developer.OkAsync("POST", "registered-models/rename", new { name = "m", new_name = "n" })).GetProperty("registered_model");
        renamed.GetProperty("latest_versions").EnumerateArray().Select(v => $"{v.GetProperty("version")} {v.GetProperty("current_stage")}").ShouldBe(["1 Archived", "2 Production", "4 None"]);
        (await tenant.Viewer.OkAsync("GET", "model-versions/get?name=n&version=2")).GetProperty("model_version").GetProperty("description").GetString().ShouldBe("two");
        await tenant.Viewer.RefusesAsync("GET", "registered-models/get?name=m", null, 404, "RESOURCE_DOES_NOT_EXIST");
        await (await tenant.Viewer.GetAsync($"{TestModels.Models}/m")).ShouldRefuseAsync(404, "no-such-model");

        await tenant.Developer.OkAsync("DELETE", "registered-models/delete", new { name = "n" });
        await tenant.Viewer.RefusesAsync("GET", "registered-models/get?name=n", null, 404, "RESOURCE_DOES_NOT_EXIST");
        (await (await tenant.Viewer.GetAsync(TestModels.Models)).ShouldBeAsync(200)).EnumerateArray().Select(m => m.GetProperty("name").GetString()).ShouldBe(["z"]);
        (await tenant.Viewer.OkAsync("GET", "model-versions/search")).EnumerateObject().ShouldBeEmpty();
        await tenant.Developer.RefusesAsync("POST", "registered-models/set-tag", new { name = "n", key = "k", value = "v" }, 404, "RESOURCE_DOES_NOT_EXIST");
        await tenant.RegisterAsync("n");
        (await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = "n", source = "s3://b/m" })).GetProperty("model_version").GetProperty("version").GetString().ShouldBe("5");
        (await tenant.Viewer.OkAsync("GET", "registered-models/get?name=n")).GetProperty("registered_model").TryGetProperty("tags", out _).ShouldBeFalse();
    }

    [Fact]
    public async Task A_model_logged_as_MLflow_3_does_it_has_files_under_an_id_and_becomes_a_version()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        var begun = (await tenant.Developer.OkAsync("POST", "logged-models", new { experiment_id = "0", name = "net", source_run_id = run, model_type = "onnx", @params = new[] { new { key = "lr", value = "0.1" } }, tags = new[] { new { key = "t", value = "1" } } })).GetProperty("model").GetProperty("info");
        var id = begun.GetProperty("model_id").GetString()!;
        begun.GetProperty("status").GetString().ShouldBe("LOGGED_MODEL_PENDING");
        begun.GetProperty("artifact_uri").GetString().ShouldBe($"mlflow-artifacts:/0/models/{id}/artifacts");
        await (await tenant.Developer.PutFileAsync($"0/models/{id}/artifacts/net.onnx", SmallModel.Make().ToByteArray())).ShouldBeAsync(200);
        await tenant.Developer.OkAsync("PATCH", $"logged-models/{id}", new { model_id = id, status = "LOGGED_MODEL_READY" });
        await tenant.Developer.OkAsync("PATCH", $"logged-models/{id}/tags", new { tags = new[] { new { key = "u", value = "2" } } });
        await tenant.Developer.OkAsync("DELETE", $"logged-models/{id}/tags/t");
        await tenant.Developer.OkAsync("POST", $"logged-models/{id}/params", new { @params = new[] { new { key = "lr", value = "0.1" }, new { key = "depth", value = "2" } } });
        // Another value is refused, and nothing that came with it is kept; nor does one request say two things.
        (await tenant.Developer.RefusesAsync("POST", $"logged-models/{id}/params", new { @params = new[] { new { key = "new", value = "1" }, new { key = "lr", value = "9" } } }, 400, "INVALID_PARAMETER_VALUE")).ShouldContain("Param with key='lr' was already logged with value='0.1'");
        await tenant.Developer.RefusesAsync("POST", $"logged-models/{id}/params", new { @params = new[] { new { key = "new", value = "1" }, new { key = "new", value = "9" } } }, 400, "INVALID_PARAMETER_VALUE");
        await tenant.Developer.RefusesAsync("DELETE", $"logged-models/{id}/tags/t", null, 404, "RESOURCE_DOES_NOT_EXIST");
        await tenant.Developer.OkAsync("POST", "runs/outputs", new { run_id = run, models = new[] { new { model_id = id, step = 4 } } });

        var model = (await tenant.Viewer.OkAsync("GET", $"logged-models/{id}")).GetProperty("model");
        model.GetProperty("info").GetProperty("status").GetString().ShouldBe("LOGGED_MODEL_READY");
        model.GetProperty("info").GetProperty("tags").GetRawText().ShouldBe("""[{"key":"u","value":"2"}]""");
        model.GetProperty("data").GetProperty("params").GetRawText().ShouldBe("""[{"key":"depth","value":"2"},{"key":"lr","value":"0.1"}]""");
        (await tenant.RunAsync(run)).GetProperty("outputs").GetProperty("model_outputs").GetRawText().ShouldBe($$"""[{"model_id":"{{id}}","step":4}]""");
        (await tenant.Viewer.OkAsync("GET", $"logged-models/{id}/artifacts/directories")).GetProperty("files")[0].GetProperty("path").GetString().ShouldBe("net.onnx");
        foreach (var (filter, expected) in new[] { ("name = 'net'", 1), ("tags.u = '2'", 1), ("status = 'PENDING'", 0), ("", 1) })
        {
            var found = await tenant.Viewer.OkAsync("POST", "logged-models/search", new { experiment_ids = new[] { "0" }, filter, order_by = new[] { new { field_name = "creation_timestamp", ascending = false } } });
            (found.TryGetProperty("models", out var models) ? models.GetArrayLength() : 0).ShouldBe(expected, filter);
        }

        await tenant.Developer.OkAsync("POST", "registered-models/create", new { name = "net" });
        var version = (await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = "net", source = $"models:/{id}", run_id = run, model_id = id })).GetProperty("model_version");
        version.GetProperty("model_id").GetString().ShouldBe(id);
        version.TryGetProperty("status_message", out _).ShouldBeFalse(version.ToString());

        // Clients leave out the run that logged it; the version has it all the same.
        foreach (var body in new object[] { new { name = "net", source = $"models:/{id}", model_id = id }, new { name = "net", source = $"models:/{id}" }, new { name = "net", source = "s3://b/net", model_id = id } })
        {
            version = (await tenant.Developer.OkAsync("POST", "model-versions/create", body)).GetProperty("model_version");
            (version.GetProperty("run_id").GetString(), version.GetProperty("model_id").GetString()).ShouldBe((run, id));
        }

        (await tenant.Viewer.OkAsync("GET", $"model-versions/search?filter={Uri.EscapeDataString($"run_id = '{run}'")}")).GetProperty("model_versions").GetArrayLength().ShouldBe(4);
        var lineage = await (await tenant.Viewer.GetAsync("api/v1/registry/lineage?of=version:net/2")).ShouldBeAsync(200);
        lineage.ToString().ShouldContain($"run:{run}");

        await tenant.Developer.OkAsync("DELETE", $"logged-models/{id}");
        await tenant.Viewer.RefusesAsync("GET", $"logged-models/{id}", null, 404, "RESOURCE_DOES_NOT_EXIST");
        await tenant.Viewer.OkAsync("GET", $"logged-models/{id}?allow_deleted=true");
        await tenant.Developer.RefusesAsync("PATCH", "logged-models/m-nothing", new { status = "LOGGED_MODEL_READY" }, 404, "RESOURCE_DOES_NOT_EXIST");
        await tenant.Developer.RefusesAsync("POST", "logged-models", new { experiment_id = "0", name = "a/b" }, 400, "INVALID_PARAMETER_VALUE");
        var other = await TestTenant.NewAsync();
        await other.Admin.RefusesAsync("GET", $"logged-models/{id}?allow_deleted=true", null, 404, "RESOURCE_DOES_NOT_EXIST");
    }

    [Fact]
    public async Task Versions_made_at_the_same_moment_get_numbers_of_their_own()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.Developer.OkAsync("POST", "registered-models/create", new { name = "m" });
        var numbers = await Task.WhenAll(Enumerable.Range(0, 5).Select(async _ => (await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = "m", source = "s3://b/m" })).GetProperty("model_version").GetProperty("version").GetString()));
        numbers.Order().ShouldBe(["1", "2", "3", "4", "5"]);
    }

    [Fact]
    public async Task A_name_that_several_register_at_the_same_moment_goes_to_one_and_the_others_are_told()
    {
        var tenant = await TestTenant.NewAsync();
        var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => tenant.Developer.SendAsync("POST", "registered-models/create", new { name = "same" })));
        answers.Count(a => a.StatusCode is HttpStatusCode.OK).ShouldBe(1);
        foreach (var refused in answers.Where(a => a.StatusCode is not HttpStatusCode.OK)) (await refused.ShouldBeAsync(400)).GetProperty("error_code").GetString().ShouldBe("RESOURCE_ALREADY_EXISTS");
        // The platform's own address does not lose the race either: the others hear that the name is taken and not that their write was overtaken.
        var plain = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => tenant.Developer.PostAsJsonAsync(TestModels.Models, new { name = "plain" })));
        plain.Count(a => a.StatusCode is HttpStatusCode.Created).ShouldBe(1);
        foreach (var refused in plain.Where(a => a.StatusCode is not HttpStatusCode.Created)) await refused.ShouldRefuseAsync(409, "model-exists");
    }

    [Theory]
    [InlineData("flavors:\n  onnx:\n    data: model.onnx\n", "model.onnx")]
    [InlineData("flavors:\n  python_function:\n    data: x\n  onnx:\n    onnx_version: 1\n    data: \"m.onnx\"\nsignature:\n  data: y\n", "m.onnx")]
    [InlineData("flavors:\n  python_function:\n    data: x\n", null)]
    [InlineData("onnx:\n  data: x\n", null)]
    [InlineData("flavors:\n  other:\n    onnx:\n      data: x\n", null)]
    [InlineData("", null)]
    [InlineData("\0:::\n- : :\n", null)]
    public void The_file_that_a_model_description_names_is_read(string description, string? file) => VersionFromArtifacts.OnnxDataOf(description).ShouldBe(file);

    private static async Task LogAsync(TestTenant tenant, string run, params (string Path, byte[] Content)[] files)
    {
        foreach (var (path, content) in files) await (await tenant.Developer.PutFileAsync($"0/{run}/artifacts/model/{path}", content)).ShouldBeAsync(200);
    }
}

internal static class TextBytes
{
    public static byte[] ToBytes(this string text) => System.Text.Encoding.UTF8.GetBytes(text);
}
