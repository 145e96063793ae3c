using System.Text;
using System.Text.Json;
using Platform.Testing;

namespace Inference.Tests.Predict.OpenInference;

public sealed class ProtocolTests
{
    [Fact]
    public async Task A_model_describes_itself_is_ready_and_infers()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.SumAndDifference(), "sums");
        var described = await OfProtocolAsync(await tenant.Developer.GetAsync("v2/models/sums"), 200);
        described.GetRawText().ShouldBe(
            """{"name":"sums","versions":["1"],"platform":"onnx_onnxv1","inputs":[{"name":"a","datatype":"FP32","shape":[-1,3]},{"name":"b","datatype":"FP32","shape":[-1,3]}],"outputs":[{"name":"sum","datatype":"FP32","shape":[-1,3]},{"name":"difference","datatype":"FP32","shape":[-1,3]}]}""");
        (await OfProtocolAsync(await tenant.Developer.GetAsync("v2/models/sums/ready"), 200)).GetRawText().ShouldBe("""{"name":"sums","ready":true}""");

        var answer = await OfProtocolAsync(await InferAsync(tenant, "v2/models/sums/infer", """
            {"id": "42", "inputs": [{"name": "a", "shape": [2,3], "datatype": "FP32", "data": [[1,2,3],[4,5,6.5]]}, {"name": "b", "shape": [2,3], "datatype": "FP32", "data": [1,1,1,1,1,1]}]}
            """), 200);
        (answer.GetProperty("model_name").GetString(), answer.GetProperty("model_version").GetString(), answer.GetProperty("id").GetString()).ShouldBe(("sums", "1", "42"));
        answer.GetProperty("outputs").GetRawText().ShouldBe(
            """[{"name":"sum","shape":[2,3],"datatype":"FP32","data":[2,3,4,5,6,7.5]},{"name":"difference","shape":[2,3],"datatype":"FP32","data":[0,1,2,3,4,5.5]}]""");
        (await tenant.UsageAsync()).ShouldBe(2);

        var kept = await tenant.Viewer.GetJsonAsync($"api/v1/inference/predictions/{answer.GetProperty("parameters").GetProperty("prediction_id").GetString()}");
        (kept.GetProperty("dialect").GetString(), kept.GetProperty("units").GetInt32()).ShouldBe(("v2", 2));
        kept.GetProperty("outputs")[0].GetProperty("data").GetRawText().ShouldBe("[2,3,4,5,6,7.5]");
    }

    [Fact]
    public async Task Only_the_outputs_asked_for_are_answered()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.SumAndDifference(), "sums");
        var answer = await OfProtocolAsync(await InferAsync(tenant, "v2/models/sums/infer", """
            {"inputs": [{"name": "a", "shape": [1,3], "datatype": "FP32", "data": [1,2,3]}, {"name": "b", "shape": [1,3], "datatype": "FP32", "data": [1,1,1]}], "outputs": [{"name": "difference"}]}
            """), 200);
        answer.GetProperty("outputs").EnumerateArray().Single().GetProperty("data").GetRawText().ShouldBe("[0,1,2]");
        answer.TryGetProperty("id", out _).ShouldBeFalse();
    }

    [Fact]
    public async Task The_version_may_stand_in_the_address_as_a_number_or_as_the_alias()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Identity(OnnxFiles.Text, -1), "echo");
        const string body = """{"inputs": [{"name": "x", "shape": [2], "datatype": "BYTES", "data": ["é\u0000", ""]}]}""";
        foreach (var version in new[] { "1", "live" })
        {
            var answer = await OfProtocolAsync(await InferAsync(tenant, $"v2/models/echo/versions/{version}/infer", body), 200);
            answer.GetProperty("outputs")[0].GetProperty("data").EnumerateArray().Select(text => text.GetString()).ShouldBe(["é\0", ""]);
            await OfProtocolAsync(await tenant.Developer.GetAsync($"v2/models/echo/versions/{version}"), 200);
            await OfProtocolAsync(await tenant.Developer.GetAsync($"v2/models/echo/versions/{version}/ready"), 200);
        }
        (await OfProtocolAsync(await InferAsync(tenant, "v2/models/echo/versions/7/infer", body), 404)).GetProperty("error").GetString()!.ShouldContain("serves version 1 (live), not '7'");
    }

    [Theory]
    [InlineData("GET", "v2/models/nothing", 404)]
    [InlineData("GET", "v2/models/nothing/ready", 404)]
    [InlineData("POST", "v2/models/nothing/infer", 404)]
    [InlineData("GET", "v2/models/sums/infer", 404)]
    [InlineData("DELETE", "v2/models/sums", 404)]
    [InlineData("GET", "v2/nonsense", 404)]
    [InlineData("POST", "v2", 404)]
    [InlineData("POST", "v2/models/sums/infer", 400)]
    public async Task Every_error_is_json_with_one_sentence_and_exactly_that_content_type(string method, string path, int status)
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.SumAndDifference(), "sums");
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (method == "POST") request.Content = new ByteArrayContent([]);
        (await OfProtocolAsync(await tenant.Developer.SendAsync(request), status)).GetProperty("error").GetString().ShouldNotBeNullOrWhiteSpace();
    }

    [Fact]
    public async Task A_stranger_learns_that_the_server_lives_and_nothing_of_its_models()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.SumAndDifference(), "sums");
        using var stranger = tenant.App.ClientWith(null);
        (await OfProtocolAsync(await stranger.GetAsync("v2"), 200)).GetProperty("name").GetString().ShouldBe("platform");
        (await OfProtocolAsync(await stranger.GetAsync("v2/health/live"), 200)).GetRawText().ShouldBe("""{"live":true,"ready":true}""");
        (await OfProtocolAsync(await stranger.GetAsync("v2/health/ready"), 200)).GetProperty("ready").GetBoolean().ShouldBeTrue();
        await OfProtocolAsync(await stranger.GetAsync("v2/models/sums"), 401);
        await OfProtocolAsync(await InferAsync(tenant, "v2/models/sums/infer", "{}", stranger), 401);
    }

    [Fact]
    public async Task A_client_that_names_the_wrong_content_type_or_none_is_understood()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Identity(OnnxFiles.Float, -1), "echo");
        foreach (var type in new[] { null, "application/octet-stream", "text/plain" })
        {
            var content = new ByteArrayContent(Encoding.UTF8.GetBytes("""{"inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[1.5,NaN]}],"parameters":{"content_type":"np"}}"""));
            if (type is not null) content.Headers.ContentType = new(type);
            var answer = await OfProtocolAsync(await tenant.Developer.PostAsync("v2/models/echo/infer", content), 200);
            answer.GetProperty("outputs")[0].GetProperty("data").GetRawText().ShouldBe("""[1.5,"NaN"]""");
        }
    }

    private static Task<HttpResponseMessage> InferAsync(TestTenant tenant, string path, string body, HttpClient? by = null) =>
        (by ?? tenant.Developer).PostAsync(path, new StringContent(body, Encoding.UTF8, "application/json"));

    private static async Task<JsonElement> OfProtocolAsync(HttpResponseMessage answer, int status)
    {
        var body = await answer.ShouldBeAsync(status);
        answer.Content.Headers.GetValues("Content-Type").ShouldBe(["application/json"]);
        return body;
    }
}
