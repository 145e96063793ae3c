using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Platform.Inference.Predict.OpenInference.Wire;
using Platform.Testing;

namespace Inference.Tests.Predict.Rules;

/// <summary>A version derived from another tenant's, with rules of its deriver's: they hold whoever asks and however.</summary>
public sealed class RuledVersionTests
{
    /// <summary>The model says 2·size and 100 for the north, 200 for the south.</summary>
    private const string Rules = """
        [{"name": "north-premium", "when": [{"column": "city", "is": "=", "value": "north"}], "then": {"multiply": 1.5}},
         {"name": "at-most-250", "then": {"cap": 250}},
         {"name": "ask-a-person", "when": [{"column": "size", "is": ">", "value": 400}], "then": {"flag": "Larger than most."}},
         {"name": "not-our-business", "when": [{"column": "size", "is": ">", "value": 1000}], "then": {"refuse": "Larger than what we sell."}}]
        """;

    /// <summary>900 before the rules, 250 after.</summary>
    private const string Large = """{"inputs": {"size": 400, "city": "north", "sold": 0}}""";

    [Fact]
    public async Task Every_way_to_ask_is_answered_with_the_number_after_the_rules_and_the_journal_keeps_what_they_did()
    {
        var tenant = await DerivedAsync(Rules);
        var version = await tenant.Viewer.GetJsonAsync("api/v1/registry/models/houses/versions/1");
        version.GetProperty("rules").EnumerateArray().Select(rule => rule.GetProperty("name").GetString()).ShouldBe(["north-premium", "at-most-250", "ask-a-person", "not-our-business"]);
        version.GetProperty("rules")[1].GetRawText().ShouldBe("""{"name":"at-most-250","then":{"cap":250}}""");
        (await tenant.Viewer.GetJsonAsync($"{Deployments.Endpoints}/houses")).GetProperty("rules").GetArrayLength().ShouldBe(4);

        var single = await tenant.PredictedAsync(Large);
        single.GetProperty("prediction").GetDouble().ShouldBe(250);
        const string did = """[{"name":"north-premium","prediction":1350},{"name":"at-most-250","prediction":250}]""";
        single.GetProperty("rules").GetRawText().ShouldBe($$"""{"before":900,"fired":{{did}}}""");
        var kept = await KeptAsync(tenant, single.GetProperty("id").GetString()!);
        kept.GetProperty("outputs").GetRawText().ShouldBe("[250]");
        kept.GetProperty("rules").GetRawText().ShouldBe($$"""[{"row":0,"before":900,"fired":{{did}}}]""");

        var list = await tenant.PredictedAsync("""{"inputs": [{"size": 1, "city": "south", "sold": 0}, {"size": 500, "city": "north", "sold": 0}]}""");
        list.GetProperty("predictions").EnumerateArray().Select(row => row.GetProperty("prediction").GetDouble()).ShouldBe([202, 250]);
        list.GetProperty("predictions")[0].GetProperty("rules").GetRawText().ShouldBe("""{"before":202,"fired":[]}""");
        list.GetProperty("predictions")[1].GetProperty("rules").GetProperty("fired")[2].GetRawText().ShouldBe("""{"name":"ask-a-person","flag":"Larger than most."}""");
        (await KeptAsync(tenant, list.GetProperty("id").GetString()!)).GetProperty("rules").EnumerateArray().Select(row => row.GetProperty("row").GetInt32()).ShouldBe([1]);

        var events = await StreamAsync(tenant, $$"""{"inputs": [{{string.Join(",", Enumerable.Repeat("""{"size": 400, "city": "north", "sold": 0}""", 300))}}]}""");
        events.Length.ShouldBe(3);
        events[..^1].SelectMany(part => part.GetProperty("predictions").EnumerateArray()).ShouldAllBe(row => row.GetProperty("prediction").GetDouble() == 250 && row.GetProperty("rules").GetProperty("before").GetDouble() == 900);

        // Tensors: as JSON, as bytes, over gRPC.
        const string inputs = """[{"name": "size", "shape": [2,1], "datatype": "FP32", "data": [1, 400]}, {"name": "city", "shape": [2,1], "datatype": "BYTES", "data": ["south", "north"]}, {"name": "sold", "shape": [2,1], "datatype": "FP32", "data": [0, 0]}]""";
        var json = await InferAsync(tenant, $$"""{"inputs": {{inputs}}}""");
        json.GetProperty("outputs")[0].GetProperty("data").GetRawText().ShouldBe("[202,250]");
        var tensors = await KeptAsync(tenant, json.GetProperty("parameters").GetProperty("prediction_id").GetString()!);
        tensors.GetProperty("outputs")[0].GetProperty("data").GetRawText().ShouldBe("[202,250]");
        tensors.GetProperty("rules").GetRawText().ShouldBe($$"""[{"row":1,"before":900,"fired":{{did}}}]""");

        using var binary = await tenant.Developer.PostAsync("v2/models/houses/infer", new StringContent($$"""{"parameters": {"binary_data_output": true}, "inputs": {{inputs}}}"""));
        var header = int.Parse(binary.Headers.GetValues("Inference-Header-Content-Length").Single());
        MemoryMarshal.Cast<byte, float>((await binary.Content.ReadAsByteArrayAsync()).AsSpan(header)).ToArray().ShouldBe([202f, 250]);

        var (client, key) = Calling(tenant);
        var grpc = await client.ModelInferAsync(Asking(400), key);
        MemoryMarshal.Cast<byte, float>(grpc.RawOutputContents[0].Span).ToArray().ShouldBe([250f]);
        (await KeptAsync(tenant, grpc.Parameters["prediction_id"].StringParam)).GetProperty("rules").GetRawText().ShouldBe($$"""[{"row":0,"before":900,"fired":{{did}}}]""");

        var listed = (await tenant.Viewer.GetJsonAsync("api/v1/inference/predictions")).GetProperty("items").EnumerateArray().Single(item => item.GetProperty("id").GetString() == single.GetProperty("id").GetString());
        listed.GetProperty("rules")[0].GetProperty("before").GetDouble().ShouldBe(900);
        (await tenant.UsageAsync()).ShouldBe(1 + 2 + 300 + 2 + 2 + 1);
    }

    [Fact]
    public async Task A_row_that_a_rule_refuses_has_no_answer_in_any_dialect_and_is_neither_written_down_nor_billed()
    {
        var tenant = await DerivedAsync(Rules);
        var single = await (await tenant.PredictAsync("""{"inputs": {"size": 1001, "city": "north", "sold": 0}}""")).ShouldRefuseAsync(422, "refused-by-rule");
        single.GetProperty("detail").GetString().ShouldBe("The rule 'not-our-business' refuses row 0: Larger than what we sell.");
        var list = await (await tenant.PredictAsync("""{"inputs": [{"size": 1, "city": "north", "sold": 0}, {"size": 2000, "city": "north", "sold": 0}, {"size": 3000, "city": "north", "sold": 0}]}""")).ShouldRefuseAsync(422, "refused-by-rule");
        list.GetProperty("errors").EnumerateArray().Select(error => error.GetProperty("field").GetString()).ShouldBe(["inputs[1]", "inputs[2]"]);

        using var v2 = await tenant.Developer.PostAsync("v2/models/houses/infer", new StringContent(
            """{"inputs": [{"name": "size", "shape": [1,1], "datatype": "FP32", "data": [1001]}, {"name": "city", "shape": [1,1], "datatype": "BYTES", "data": ["north"]}, {"name": "sold", "shape": [1,1], "datatype": "FP32", "data": [0]}]}"""));
        (await v2.ShouldBeAsync(422)).GetProperty("error").GetString()!.ShouldContain("not-our-business");
        var (client, key) = Calling(tenant);
        var refused = await Should.ThrowAsync<RpcException>(client.ModelInferAsync(Asking(1001), key).ResponseAsync);
        (refused.StatusCode, refused.Status.Detail.Contains("not-our-business")).ShouldBe((StatusCode.FailedPrecondition, true));
        (await tenant.UsageAsync()).ShouldBe(0);
        (await tenant.Viewer.GetJsonAsync("api/v1/inference/predictions")).GetProperty("items").GetArrayLength().ShouldBe(0);

        // In a stream, what came before it stands.
        var rows = Enumerable.Range(0, 300).Select(i => $$"""{"size": {{(i == 260 ? 1001 : 1)}}, "city": "south", "sold": 0}""");
        var events = await StreamAsync(tenant, $$"""{"inputs": [{{string.Join(",", rows)}}]}""");
        (events[1].GetProperty("status").GetInt32(), events[1].GetProperty("field").GetString(), events[1].GetProperty("answeredRows").GetInt32()).ShouldBe((422, "inputs[260]", 250));
        (await tenant.UsageAsync()).ShouldBe(250);
    }

    [Fact]
    public async Task A_version_without_rules_answers_as_before_beside_one_with_rules_of_the_same_file()
    {
        var tenant = await DerivedAsync(Rules);
        await (await DeriveAsync(tenant, (await tenant.Viewer.GetJsonAsync("api/v1/registry/models/houses/versions/1")).GetProperty("base"), null)).ShouldBeAsync(201);
        await (await tenant.DeployAsync("plain", "houses", "2")).ShouldBeAsync(201);

        var plain = await tenant.PredictedAsync(Large, "plain");
        plain.GetProperty("prediction").GetDouble().ShouldBe(900);
        plain.EnumerateObject().Select(member => member.Name).ShouldBe(["id", "endpoint", "model", "modelVersion", "planVersion", "prediction", "timings"]);
        (await KeptAsync(tenant, plain.GetProperty("id").GetString()!)).GetProperty("rules").ValueKind.ShouldBe(JsonValueKind.Null);
        (await tenant.Viewer.GetJsonAsync("api/v1/registry/models/houses/versions/2")).GetProperty("rules").GetArrayLength().ShouldBe(0);
        (await tenant.PredictedAsync(Large)).GetProperty("prediction").GetDouble().ShouldBe(250);

        // Moving the alias moves the rules with it.
        await tenant.PointAsync("houses", "live", 2);
        await Eventually.BecomesAsync("the endpoint to follow its alias", () => tenant.PredictedAsync(Large), answer => answer.GetProperty("prediction").GetDouble() == 900);
    }

    [Fact]
    public async Task What_is_remembered_goes_through_the_rules_like_what_is_run()
    {
        var tenant = await DerivedAsync(Rules);
        await (await tenant.Developer.PutAsJsonAsync($"{Deployments.Endpoints}/houses", new { model = "houses", alias = "live", cacheSeconds = 60 })).ShouldBeAsync(200);
        var first = await tenant.PredictedAsync(Large);
        var second = await tenant.PredictedAsync(Large);
        second.GetProperty("timings").GetProperty("run").GetDouble().ShouldBe(0);
        second.GetProperty("prediction").GetDouble().ShouldBe(250);
        second.GetProperty("rules").GetRawText().ShouldBe(first.GetProperty("rules").GetRawText());
    }

    [Fact]
    public async Task The_interval_of_a_fitted_version_goes_with_its_number()
    {
        // The truth is ten off, up or down, so the interval is ten to either side.
        var rows = string.Join('\n', Enumerable.Range(1, 100).Select(i => $"{i},north,0,{(2 * i) + 100 + (i % 2 == 0 ? 10 : -10)}"));
        var tenant = await DerivedAsync("""[{"name": "at-most-155", "then": {"cap": 155}}]""", $"size,city,sold,truth\n{rows}\n");
        var below = await tenant.PredictedAsync("""{"inputs": {"size": 25, "city": "north", "sold": 0}}""");
        (below.GetProperty("prediction").GetDouble(), below.GetProperty("interval").GetProperty("upper").GetDouble()).ShouldBe((150, 155));
        below.GetProperty("interval").GetProperty("lower").GetDouble().ShouldBe(140, 0.001);
        below.GetProperty("rules").GetRawText().ShouldBe("""{"before":150,"fired":[]}""");
        var kept = await KeptAsync(tenant, below.GetProperty("id").GetString()!);
        kept.GetProperty("intervals")[0].GetProperty("upper").GetDouble().ShouldBe(155);
        kept.GetProperty("rules").GetRawText().ShouldBe("[]");

        var above = await tenant.PredictedAsync("""{"inputs": {"size": 90, "city": "north", "sold": 0}}""");
        (above.GetProperty("prediction").GetDouble(), above.GetProperty("interval").GetProperty("lower").GetDouble(), above.GetProperty("interval").GetProperty("upper").GetDouble()).ShouldBe((155, 155, 155));
    }

    /// <summary>A tenant with a version of its own, derived from another tenant's with these rules and served as "houses".</summary>
    /// <param name="csv">Rows to fit its interval to.</param>
    private static async Task<TestTenant> DerivedAsync(string rules, string? csv = null)
    {
        var (owner, tenant) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await owner.UploadAsync("base", OnnxFiles.Houses());
        await (await owner.Admin.PutAsJsonAsync("api/v1/registry/models/base/versions/1/sharing", new { tenants = new[] { tenant.Id } })).ShouldBeAsync(200);
        await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/models", new { name = "houses" })).ShouldBeAsync(201);
        if (csv is not null)
        {
            using var dataset = new StringContent(csv, Encoding.UTF8, new MediaTypeHeaderValue("text/csv"));
            await (await tenant.Developer.PostAsync("api/v1/features/datasets?name=rows", dataset)).ShouldBeAsync(201);
        }
        var from = JsonSerializer.SerializeToElement(new { tenant = owner.Id, model = "base", version = 1 });
        await (await DeriveAsync(tenant, from, JsonDocument.Parse(rules).RootElement, csv is null ? null : new { dataset = "rows", target = "truth" })).ShouldBeAsync(201);
        await tenant.PointAsync("houses", "live", 1);
        await (await tenant.DeployAsync("houses", "houses", "live")).ShouldBeAsync(201);
        return tenant;
    }

    private static Task<HttpResponseMessage> DeriveAsync(TestTenant tenant, JsonElement from, JsonElement? rules, object? calibration = null) => tenant.Developer.PostAsJsonAsync("api/v1/registry/models/houses/derived-versions",
        new { from = new { tenant = from.GetProperty("tenant").GetString(), model = from.GetProperty("model").GetString(), version = from.GetProperty("version").GetInt32() }, rules, calibration });

    private static Task<JsonElement> KeptAsync(TestTenant tenant, string id) => tenant.Viewer.GetJsonAsync($"api/v1/inference/predictions/{id}");

    private static async Task<JsonElement> InferAsync(TestTenant tenant, string body) => await (await tenant.Developer.PostAsync("v2/models/houses/infer", new StringContent(body))).ShouldBeAsync(200);

    /// <summary>The data of all events of the stream.</summary>
    private static async Task<JsonElement[]> StreamAsync(TestTenant tenant, string body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"{Deployments.Endpoints}/houses/predict") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.Accept.ParseAdd("text/event-stream");
        using var answer = await tenant.Developer.SendAsync(request);
        var text = await answer.Content.ReadAsStringAsync();
        ((int)answer.StatusCode).ShouldBe(200, text);
        return [.. text.Split('\n').Where(line => line.StartsWith("data: ", StringComparison.Ordinal)).Select(line => JsonDocument.Parse(line["data: ".Length..]).RootElement)];
    }

    private static (GRPCInferenceService.GRPCInferenceServiceClient Client, Metadata Key) Calling(TestTenant tenant) =>
        (new(GrpcChannel.ForAddress(tenant.App.GrpcAddress)), new Metadata { { "authorization", $"Bearer {tenant.DeveloperKey}" } });

    private static ModelInferRequest Asking(float size)
    {
        var request = new ModelInferRequest { ModelName = "houses" };
        request.Inputs.Add(new ModelInferRequest.Types.InferInputTensor { Name = "size", Datatype = "FP32", Shape = { 1, 1 }, Contents = new InferTensorContents { Fp32Contents = { size } } });
        request.Inputs.Add(new ModelInferRequest.Types.InferInputTensor { Name = "city", Datatype = "BYTES", Shape = { 1, 1 }, Contents = new InferTensorContents { BytesContents = { ByteString.CopyFromUtf8("north") } } });
        request.Inputs.Add(new ModelInferRequest.Types.InferInputTensor { Name = "sold", Datatype = "FP32", Shape = { 1, 1 }, Contents = new InferTensorContents { Fp32Contents = { 0 } } });
        return request;
    }
}
