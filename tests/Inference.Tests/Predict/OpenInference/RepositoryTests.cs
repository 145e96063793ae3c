using System.Text;
using System.Text.Json;
using Platform.Testing;

namespace Inference.Tests.Predict.OpenInference;

/// <summary>Triton's extensions over REST.</summary>
public sealed class RepositoryTests
{
    private const string Sums = """{"inputs": [{"name": "a", "shape": [2,3], "datatype": "FP32", "data": [1,2,3,4,5,6]}, {"name": "b", "shape": [2,3], "datatype": "FP32", "data": [1,1,1,1,1,1]}]}""";

    [Fact]
    public async Task A_model_is_taken_out_of_memory_and_back_and_answers_all_the_while()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.SumAndDifference(), "sums");
        (await OfProtocolAsync(tenant.Developer.GetAsync("v2/models"), 200)).GetRawText().ShouldBe("""{"models":["sums"]}""");
        (await PostAsync(tenant, "v2/repository/index")).GetRawText().ShouldBe("""[{"name":"sums","version":"1","state":"READY","reason":""}]""");
        await PostAsync(tenant, "v2/repository/models/sums/unload");
        (await PostAsync(tenant, "v2/repository/index", """{"ready": true}"""))[0].GetProperty("reason").GetString()!.ShouldContain("not in memory");
        await OfProtocolAsync(tenant.Developer.GetAsync("v2/models/sums/ready"), 200);
        await PostAsync(tenant, "v2/models/sums/infer", Sums);
        (await PostAsync(tenant, "v2/repository/index"))[0].GetProperty("reason").GetString().ShouldBe("");
        await PostAsync(tenant, "v2/repository/models/sums/unload", """{"parameters": {"unload_dependents": false}}""");
        await PostAsync(tenant, "v2/repository/models/sums/load", "{}");
        (await PostAsync(tenant, "v2/repository/index"))[0].GetProperty("reason").GetString().ShouldBe("");
    }

    [Fact]
    public async Task A_file_cannot_take_the_place_of_what_the_alias_points_at_and_the_refusal_says_how()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.SumAndDifference(), "sums");
        var why = (await PostAsync(tenant, "v2/repository/models/sums/load", """{"parameters": {"config": "{}", "file:1/model.onnx": "AAAA"}}""", 409)).GetProperty("error").GetString()!;
        why.ShouldContain("serves what 'live' of the model 'sums' is");
        why.ShouldContain("POST /api/v1/registry/models/sums/versions");
        (await PostAsync(tenant, "v2/repository/models/sums/load", """{"parameters": {"config": "{}"}}""", 400)).GetProperty("error").GetString()!.ShouldContain("no configuration");
        await PostAsync(tenant, "v2/repository/models/nothing/load", "{}", 404);
        await PostAsync(tenant, "v2/repository/models/nothing/unload", "", 404);
        await PostAsync(tenant, "v2/repository/index", "[", 400);
    }

    [Fact]
    public async Task Statistics_count_what_was_answered_and_the_configuration_tells_the_shapes()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.SumAndDifference(), "sums");
        await PostAsync(tenant, "v2/models/sums/infer", Sums);
        await PostAsync(tenant, "v2/models/sums/infer", "{}", 400);
        foreach (var path in new[] { "v2/models/stats", "v2/models/sums/stats", "v2/models/sums/versions/1/stats", "v2/models/sums/versions/live/stats" })
        {
            var counted = (await OfProtocolAsync(tenant.Developer.GetAsync(path), 200)).GetProperty("model_stats")[0];
            (counted.GetProperty("name").GetString(), counted.GetProperty("version").GetString(), counted.GetProperty("inference_count").GetInt64(), counted.GetProperty("execution_count").GetInt64()).ShouldBe(("sums", "1", 2, 1));
            counted.GetProperty("inference_stats").GetProperty("success").GetProperty("count").GetInt64().ShouldBe(1);
            counted.GetProperty("inference_stats").GetProperty("fail").GetProperty("count").GetInt64().ShouldBe(1);
            counted.GetProperty("inference_stats").GetProperty("compute_infer").GetProperty("ns").GetInt64().ShouldBeGreaterThan(0);
            counted.GetProperty("last_inference").GetInt64().ShouldBeGreaterThan(1_700_000_000_000);
        }
        (await OfProtocolAsync(tenant.Developer.GetAsync("v2/models/sums/config"), 200)).GetRawText().ShouldBe(
            """{"name":"sums","platform":"onnxruntime_onnx","backend":"onnxruntime","version_policy":{"specific":{"versions":[1]}},"max_batch_size":0,"input":[{"name":"a","data_type":"TYPE_FP32","dims":[-1,3]},{"name":"b","data_type":"TYPE_FP32","dims":[-1,3]}],"output":[{"name":"sum","data_type":"TYPE_FP32","dims":[-1,3]},{"name":"difference","data_type":"TYPE_FP32","dims":[-1,3]}]}""");
        await OfProtocolAsync(tenant.Developer.GetAsync("v2/models/sums/versions/9/config"), 404);
        await OfProtocolAsync(tenant.Developer.GetAsync("v2/models/sums/versions/9/stats"), 404);
    }

    [Fact]
    public async Task Loading_needs_the_permission_to_change_endpoints_and_strangers_and_other_tenants_see_nothing()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.SumAndDifference(), "sums");
        await OfProtocolAsync(tenant.Viewer.PostAsync("v2/repository/models/sums/unload", null), 403);
        using var stranger = tenant.App.ClientWith(null);
        await OfProtocolAsync(stranger.PostAsync("v2/repository/index", null), 401);
        var other = await TestTenant.NewAsync();
        (await PostAsync(other, "v2/repository/index")).GetArrayLength().ShouldBe(0);
        (await OfProtocolAsync(other.Developer.GetAsync("v2/models/stats"), 200)).GetProperty("model_stats").GetArrayLength().ShouldBe(0);
        await PostAsync(other, "v2/repository/models/sums/unload", "", 404);
    }

    private static Task<JsonElement> PostAsync(TestTenant tenant, string path, string body = "", int status = 200) =>
        OfProtocolAsync(tenant.Developer.PostAsync(path, new StringContent(body, Encoding.UTF8, "application/octet-stream")), status);

    private static async Task<JsonElement> OfProtocolAsync(Task<HttpResponseMessage> asking, int status)
    {
        using var answer = await asking;
        var body = await answer.ShouldBeAsync(status);
        answer.Content.Headers.GetValues("Content-Type").ShouldBe(["application/json"]);
        return body;
    }
}
