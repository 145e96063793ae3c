using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Google.Protobuf;
using Platform.Testing;
using Registry.Tests.Mlflow;
using Registry.Tests.Models;
using Registry.Tests.Onnx;

namespace Registry.Tests.Lineage;

public sealed class LineageTests
{
    private const string Commit = "0123456789abcdef0123456789abcdef01234567";

    [Fact]
    public async Task From_code_and_data_to_what_serves_and_back_everything_that_hangs_together_is_found()
    {
        var tenant = await TestTenant.NewAsync();
        var hash = await UploadAsync(tenant, "sales");
        await ViewAsync(tenant);
        var parent = await tenant.NewRunAsync();
        var run = await tenant.NewRunAsync(tags: [new { key = "mlflow.source.git.commit", value = Commit }, new { key = "mlflow.parentRunId", value = parent }, new { key = "mlflow.runName", value = "attempt" }]);
        await tenant.Developer.OkAsync("POST", "runs/log-inputs", new
        {
            run_id = run,
            datasets = new object[]
            {
                new { tags = new[] { new { key = "mlflow.data.context", value = "training" } }, dataset = new { name = "my sales", digest = hash[..36], source_type = "http", source = "x" } },
                new { dataset = new { name = "holidays", digest = "ab12", source_type = "http", source = "y" } },
            },
        });
        (await tenant.Developer.PutFileAsync($"0/{run}/artifacts/model/net.onnx", SmallModel.Make().ToByteArray())).EnsureSuccessStatusCode();
        await tenant.Developer.OkAsync("POST", "registered-models/create", new { name = "price" });
        await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = "price", source = $"runs:/{run}/model", run_id = run });
        await (await tenant.Developer.SetAliasAsync("price", "candidate", 1)).ShouldBeAsync(200);
        await (await tenant.Developer.PostAsJsonAsync("api/v1/inference/endpoints", new { name = "live", model = "price", alias = "candidate", featureView = "sales" })).ShouldBeAsync(201);

        var version = await OfAsync(tenant.Viewer, "version:price/1");
        Nodes(version).ShouldBe([$"code:{Commit}", "dataset:holidays#ab12", "dataset:sales@1", "endpoint:live", $"run:{parent}", $"run:{run}", "version:price/1"], ignoreOrder: true);
        Edges(version).ShouldBe(
        [
            $"version:price/1 logged by run:{run}", $"run:{run} ran code:{Commit}", $"run:{run} part of run:{parent}", $"run:{run} read for training dataset:sales@1",
            $"run:{run} read dataset:holidays#ab12", "endpoint:live serves version:price/1",
        ], ignoreOrder: true);
        Distance(version, "endpoint:live").ShouldBe(1);
        Distance(version, $"code:{Commit}").ShouldBe(-2);

        // From where it began, everything that came of it.
        Nodes(await OfAsync(tenant.Viewer, "dataset:sales")).ShouldBe(["dataset:sales@1", "feature-view:sales", "endpoint:live", $"run:{run}", "version:price/1"], ignoreOrder: true);
        Nodes(await OfAsync(tenant.Viewer, $"code:{Commit}")).ShouldBe([$"code:{Commit}", $"run:{run}", "version:price/1", "endpoint:live"], ignoreOrder: true);
        Nodes(await OfAsync(tenant.Viewer, $"run:{parent}")).ShouldContain("endpoint:live");
        Nodes(await OfAsync(tenant.Viewer, "endpoint:live")).ShouldBe(["endpoint:live", "feature-view:sales", "dataset:sales@1", "version:price/1", $"run:{run}", $"run:{parent}", "dataset:holidays#ab12", $"code:{Commit}"], ignoreOrder: true);

        var near = await OfAsync(tenant.Viewer, "version:price/1", "&depth=1");
        Nodes(near).ShouldBe(["version:price/1", $"run:{run}", "endpoint:live"], ignoreOrder: true);
        near.GetProperty("truncated").GetBoolean().ShouldBeTrue();
    }

    [Fact]
    public async Task Members_of_a_composite_and_what_is_gone_are_told()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterWithVersionAsync("first");
        await tenant.RegisterAsync("both");
        await (await tenant.Developer.PostAsJsonAsync($"{TestModels.Models}/both/composite-versions", new { kind = "sequence", members = new object[] { new { model = "first", version = 1 }, new { model = "first", version = 1, inputs = new { x = "y" } } } })).ShouldBeAsync(201);
        Edges(await OfAsync(tenant.Viewer, "version:first/1")).ShouldBe(["version:both/1 made of version:first/1"]);

        var run = await tenant.NewRunAsync();
        (await tenant.Developer.PutFileAsync($"0/{run}/artifacts/model/net.onnx", SmallModel.Make().ToByteArray())).EnsureSuccessStatusCode();
        await tenant.Developer.OkAsync("POST", "registered-models/create", new { name = "price" });
        await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = "price", source = $"runs:/{run}/model", run_id = "0123456789abcdef0123456789abcdef" });
        var gone = (await OfAsync(tenant.Viewer, "version:price/1")).GetProperty("nodes").EnumerateArray().Single(node => node.GetProperty("kind").GetString() == "run");
        gone.GetProperty("gone").GetBoolean().ShouldBeTrue();
    }

    [Fact]
    public async Task Another_tenants_things_are_not_there_and_a_wrong_name_is_explained()
    {
        var theirs = await TestTenant.NewAsync();
        await theirs.RegisterWithVersionAsync("price");
        var run = await theirs.NewRunAsync(tags: [new { key = "mlflow.source.git.commit", value = Commit }]);
        await UploadAsync(theirs, "sales");
        var mine = await TestTenant.NewAsync();
        foreach (var thing in (string[])["version:price/1", $"run:{run}", "dataset:sales", "dataset:sales@1", "endpoint:live", "feature-view:sales", $"code:{Commit}", "logged-model:m-1"])
        {
            await (await mine.Admin.GetAsync(Address(thing))).ShouldRefuseAsync(404, "no-such-thing");
        }

        foreach (var wrong in (string[])["price/1", "version:", "model:price", ":x"]) await (await mine.Admin.GetAsync(Address(wrong))).ShouldBeAsync(400);
    }

    [Fact]
    public async Task A_difference_between_signatures_is_compatible_or_breaking()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterWithVersionAsync("price");
        var other = SmallModel.Make();
        other.Graph.Input[0].Name = "size";
        foreach (var node in other.Graph.Node)
        {
            for (var i = 0; i < node.Input.Count; i++) node.Input[i] = node.Input[i] == "x" ? "size" : node.Input[i];
        }

        await (await tenant.Developer.UploadAsync("price", other.ToByteArray())).ShouldBeAsync(201);
        await (await tenant.Developer.UploadAsync("price", other.ToByteArray(), query: "?description=again")).ShouldBeAsync(201);
        var changes = await (await tenant.Viewer.GetAsync($"{TestModels.Models}/price/versions/2/signature-changes")).ShouldBeAsync(200);
        changes.GetProperty("since").GetInt32().ShouldBe(1);
        changes.GetProperty("compatible").GetBoolean().ShouldBeFalse();
        changes.GetProperty("changes").EnumerateArray().Select(c => $"{c.GetProperty("where").GetString()} {c.GetProperty("name").GetString()} {c.GetProperty("breaking").GetBoolean()}").ShouldBe(["input x True", "input size True"]);

        await (await tenant.Developer.SetAliasAsync("price", "candidate", 2)).ShouldBeAsync(200);
        var same = await (await tenant.Viewer.GetAsync($"{TestModels.Models}/price/versions/3/signature-changes?since=candidate")).ShouldBeAsync(200);
        same.GetProperty("compatible").GetBoolean().ShouldBeTrue();
        same.GetProperty("changes").GetArrayLength().ShouldBe(0);
        await (await tenant.Viewer.GetAsync($"{TestModels.Models}/price/versions/3/signature-changes?since=nobody")).ShouldRefuseAsync(404, "no-such-model-version");
        await (await tenant.Viewer.GetAsync($"{TestModels.Models}/price/versions/1/signature-changes")).ShouldRefuseAsync(404, "no-such-model-version");
    }

    private static async Task<string> UploadAsync(TestTenant tenant, string name)
    {
        var rows = string.Concat(Enumerable.Range(0, 60).Select(i => $"H{i},{60 + i}\n"));
        using var csv = new ByteArrayContent(Encoding.UTF8.GetBytes($"house_id,x\n{rows}")) { Headers = { ContentType = new MediaTypeHeaderValue("text/csv") } };
        return (await (await tenant.Developer.PostAsync($"api/v1/features/datasets?name={name}", csv)).ShouldBeAsync(201)).GetProperty("contentSha256").GetString()!;
    }

    private static async Task ViewAsync(TestTenant tenant)
    {
        await (await tenant.Developer.PostAsJsonAsync("api/v1/features/entities", new { name = "house" })).ShouldBeAsync(201);
        await (await tenant.Developer.PostAsJsonAsync("api/v1/features/feature-views", new { name = "sales", entity = "house", dataset = "sales", keyColumn = "house_id" })).ShouldBeAsync(201);
        await (await tenant.Developer.PostAsync("api/v1/features/feature-views/sales/materialise", null)).ShouldBeAsync(202);
        await Eventually.BecomesAsync("the view to be materialised", async () => await (await tenant.Viewer.GetAsync("api/v1/features/feature-views/sales")).ShouldBeAsync(200),
            view => view.TryGetProperty("materialised", out var done) && done.ValueKind is JsonValueKind.Object);
    }

    private static string Address(string of) => $"api/v1/registry/lineage?of={Uri.EscapeDataString(of)}";

    private static async Task<JsonElement> OfAsync(HttpClient by, string of, string more = "") => await (await by.GetAsync(Address(of) + more)).ShouldBeAsync(200);

    private static string[] Nodes(JsonElement graph) => [.. graph.GetProperty("nodes").EnumerateArray().Select(node => node.GetProperty("id").GetString()!)];

    private static string[] Edges(JsonElement graph) =>
        [.. graph.GetProperty("edges").EnumerateArray().Select(edge => $"{edge.GetProperty("from").GetString()} {edge.GetProperty("relation").GetString()} {edge.GetProperty("to").GetString()}")];

    private static int Distance(JsonElement graph, string node) =>
        graph.GetProperty("nodes").EnumerateArray().Single(n => n.GetProperty("id").GetString() == node).GetProperty("distance").GetInt32();
}
