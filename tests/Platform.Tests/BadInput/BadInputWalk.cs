using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using Inference.Tests;
using Platform.Testing;
using Platform.Tests.Tenancy;

namespace Platform.Tests.BadInput;

/// <summary>A user who gets everything wrong, one thing after the other: each time the platform says what was wrong, where, and how to mend it,
/// and nothing has changed. What exactly is refused is each module's business and tested there.</summary>
public sealed class BadInputWalk(BadInputWalk.Walked walked) : IClassFixture<BadInputWalk.Walked>
{
    private const string Json = "application/json", Csv = "text/csv", File = "application/octet-stream";
    private const string Predict = $"api/v1/inference/endpoints/{WholeTenant.Endpoint}/predict", Datasets = "api/v1/features/datasets?name=walk", Versions = $"api/v1/registry/models/{WholeTenant.Model}/versions", Jobs = "api/v1/registry/training-jobs";
    private const string Row = """{"sold_on": "2024-03-01", "area": 120, "rooms": 4, "town": "north"}""";

    /// <summary>By what is wrong: what is sent where, and the answer. Named apart from the cases, because the runner would write a body of 33 MB into each name.</summary>
    private static readonly Mistake[] All =
    [
        new("malformed JSON to an endpoint", Predict, Json, Text("""{"inputs": {"area": 120,"""), 400, "malformed-json", "body"),
        new("malformed JSON to the control plane", Jobs, Json, Text("""{"dataset": sales}"""), 400, "malformed-json", "body"),
        new("nothing at all", Predict, Json, [], 400, "malformed-json", "body"),
        new("JSON that is no object", Predict, Json, Text("[1, 2]"), 400, "wrong-type", "body"),
        new("JSON in another encoding", Predict, Json, Encoding.Unicode.GetBytes($$"""{"inputs": {{Row}}}"""), 400, "malformed-json", "body"),
        new("bytes that are no text", Predict, Json, [0xFF, 0xFE, 0x00, 0xD8], 400, "not-utf8", "body"),
        new("an unknown column", Predict, Json, Text("""{"inputs": {"sold_on": "2024-03-01", "aria": 120, "rooms": 4, "town": "north"}}"""), 400, "unknown-column", "aria"),
        new("an unknown field of the control plane", Jobs, Json, Text("""{"dataset": "sales", "target": "price", "model": "m", "trget": 1}"""), 400, "unknown-field", "trget"),
        new("a missing field of the control plane", Jobs, Json, Text("""{"dataset": "sales", "model": "m"}"""), 400, "invalid-field", "target"),
        new("a text for a number", Predict, Json, Text("""{"inputs": {"sold_on": "2024-03-01", "area": "large", "rooms": 4, "town": "north"}}"""), 400, "wrong-type", "area"),
        new("an object for a number", Predict, Json, Text("""{"inputs": {"sold_on": "2024-03-01", "area": {"m2": 120}, "rooms": 4, "town": "north"}}"""), 400, "wrong-type", "area"),
        new("a day that is not in the calendar", Predict, Json, Text("""{"inputs": {"sold_on": "2024-02-31", "area": 120, "rooms": 4, "town": "north"}}"""), 400, "bad-date", "sold_on"),
        new("a list in a list", Predict, Json, Text($$"""{"inputs": [[{{Row}}]]}"""), 400, "wrong-type", "inputs[0]"),
        new("one wrong row among good ones", Predict, Json, Text($$"""{"inputs": [{{Row}}, {"area": []}]}"""), 400, "wrong-type", "inputs[1].area"),
        new("NaN for a number", Predict, Json, Text("""{"inputs": {"sold_on": "2024-03-01", "area": NaN, "rooms": 4, "town": "north"}}"""), 400, "not-finite", "area"),
        new("NaN in quotes", Predict, Json, Text("""{"inputs": {"sold_on": "2024-03-01", "area": "NaN", "rooms": 4, "town": "north"}}"""), 400, "not-finite", "area"),
        new("a number beyond all numbers", Predict, Json, Text("""{"inputs": {"sold_on": "2024-03-01", "area": 1e999, "rooms": 4, "town": "north"}}"""), 400, "number-out-of-range", "area"),
        new("a body over the limit", Predict, Json, Text("{\"inputs\": {\"town\": \"" + new string('x', 17 << 20) + "\"}}"), 413, "body-too-large", "body"),
        new("a body over the limit of the control plane", Jobs, Json, Text("{\"dataset\": \"" + new string('x', 33 << 20) + "\"}"), 413, "too-large", "body"),
        new("ragged rows throughout", Datasets, Csv, Text("a,b,c\n1,2\n3\n4,5,6,7\n"), 400, "too-many-bad-rows", "file"),
        new("a CSV in Latin-1", Datasets, Csv, Encoding.Latin1.GetBytes("city,price\nKöln,1\nMünchen,2\n"), 400, "not-utf-8", "file"),
        new("a CSV in UTF-16 that does not say so", Datasets, Csv, Encoding.Unicode.GetBytes("city,price\nBonn,1\n"), 400, "not-text", "file"),
        new("an empty file", Datasets, Csv, [], 400, "empty-file", "file"),
        new("an empty dataset", Datasets, Csv, Text("city,price\n"), 400, "empty-dataset", "file"),
        new("a JSON file for a CSV", Datasets, Json, Text("[]"), 415, "unsupported-content", "Content-Type"),
        new("a truncated ONNX file", Versions, File, OnnxFiles.Houses()[..^60], 400, "not-onnx", "file"),
        new("an ONNX file of an unknown opset", Versions, File, OnnxFiles.UnknownOpset(), 400, "onnx-unknown-opset", "file"),
        new("an ONNX file whose data is outside of it", Versions, File, OnnxFiles.OutsideData("../../../etc/passwd"), 400, "onnx-external-data", "file"),
        new("an ONNX file with operators of its own", Versions, File, OnnxFiles.CustomOperator(), 400, "onnx-custom-operator", "file"),
        new("a training target that is not there", Jobs, Json, Text("""{"dataset": "sales", "target": "prize", "model": "walk"}"""), 400, "unknown-column", "target"),
        new("a training target that is no number", Jobs, Json, Text("""{"dataset": "sales", "target": "town", "model": "walk"}"""), 400, "target-not-numeric", "target"),
    ];

    public static TheoryData<string> Mistakes => [.. All.Select(mistake => mistake.What)];

    [Theory]
    [MemberData(nameof(Mistakes))]
    public async Task A_mistake_is_told_with_its_place_and_its_mend_and_changes_nothing(string what)
    {
        var (_, path, type, body, status, code, field) = All.Single(mistake => mistake.What == what);
        var before = await walked.StateAsync();
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new ByteArrayContent(body) { Headers = { ContentType = new MediaTypeHeaderValue(type) } } };
        // As curl does: a large body is announced, and sent when it is wanted.
        request.Headers.ExpectContinue = body.Length > 1 << 20;

        var problem = await (await walked.Tenant.Developer.SendAsync(request)).ShouldRefuseAsync(status, code);

        problem.GetProperty("field").GetString().ShouldBe(field, what);
        problem.GetProperty("detail").GetString().ShouldNotBeNullOrEmpty(what);
        problem.GetProperty("mend").GetString().ShouldNotBeNullOrEmpty(what);
        problem.GetProperty("status").GetInt32().ShouldBe(status);
        problem.GetProperty("type").GetString().ShouldBe($"/problems/{code}");
        (await walked.StateAsync()).ShouldBe(before, what);
    }

    [Fact]
    public async Task A_CSV_in_UTF_16_that_says_so_is_read_and_a_few_ragged_rows_are_set_aside()
    {
        var tenant = await TestTenant.NewAsync();
        byte[] utf16 = [.. Encoding.Unicode.Preamble, .. Encoding.Unicode.GetBytes("city,price\nKöln,1\nŁódź,2\nBonn\nParis,3,4\nRom,5\n")];
        using var content = new ByteArrayContent(utf16) { Headers = { ContentType = new MediaTypeHeaderValue(Csv) } };
        var dataset = await (await tenant.Developer.PostAsync("api/v1/features/datasets?name=cities", content)).ShouldBeAsync(201);
        (dataset.GetProperty("rows").GetInt64(), dataset.GetProperty("quarantined").GetInt64()).ShouldBe((3, 2));
        (await tenant.Developer.GetStringAsync("api/v1/features/datasets/cities/rows")).ShouldContain("Köln");
    }

    [Fact]
    public async Task A_constant_training_target_ends_the_job_with_field_and_mend_and_makes_no_model()
    {
        var before = await walked.StateAsync();
        var tenant = await TestTenant.NewAsync();
        await WholeTenant.UploadAsync(tenant, "area,price\n" + string.Concat(Enumerable.Range(0, 60).Select(i => $"{i},7\n")));
        var job = await (await tenant.Developer.PostAsJsonAsync(Jobs, new { dataset = WholeTenant.Dataset, target = "price", model = "flat" })).ShouldBeAsync(202);
        var ended = await Eventually.BecomesAsync("the training to end", () => WholeTenant.StateAsync(tenant, $"{Jobs}/{job.GetProperty("id").GetString()}"), seen => seen.GetProperty("status").GetString() is "failed" or "succeeded");
        var failure = ended.GetProperty("failure");
        (failure.GetProperty("code").GetString(), failure.GetProperty("field").GetString()).ShouldBe(("constant-target", "price"));
        failure.GetProperty("mend").GetString().ShouldNotBeNullOrEmpty();
        await (await tenant.Developer.GetAsync("api/v1/registry/models/flat")).ShouldRefuseAsync(404, "no-such-model");
        (await walked.StateAsync()).ShouldBe(before);
    }

    [Fact]
    public async Task A_key_that_was_revoked_or_has_expired_or_was_made_up_opens_nothing()
    {
        var tenant = walked.Tenant;
        var keys = $"api/v1/tenancy/tenants/{tenant.Id}/keys";
        var shortLived = await (await tenant.Admin.PostAsJsonAsync(keys, new { name = "short", role = "developer", expiresAt = DateTimeOffset.UtcNow.AddSeconds(1) })).ShouldBeAsync(201);
        var revoked = await (await tenant.Admin.PostAsJsonAsync(keys, new { name = "gone", role = "developer" })).ShouldBeAsync(201);
        await (await tenant.Admin.DeleteAsync($"{keys}/{revoked.GetProperty("keyId").GetString()}")).ShouldBeAsync(204);
        using var expired = tenant.App.ClientWith(shortLived.GetProperty("key").GetString());
        await Eventually.BecomesAsync("the key to expire", async () => (int)(await expired.GetAsync("api/v1/registry/models")).StatusCode, status => status == 401);
        var before = await walked.StateAsync();

        foreach (var (key, code) in new[] { (revoked.GetProperty("key").GetString(), "key-revoked"), (shortLived.GetProperty("key").GetString(), "key-expired"), ($"mlp_{tenant.Id}.made.up", "key-unknown"), (null, "no-credential") })
        {
            using var client = tenant.App.ClientWith(key);
            foreach (var path in new[] { Predict, Jobs })
            {
                var problem = await (await client.PostAsync(path, new StringContent($$"""{"inputs": {{Row}}}""", Encoding.UTF8, Json))).ShouldRefuseAsync(401, code);
                problem.GetProperty("field").GetString().ShouldBe("Authorization");
                problem.GetProperty("mend").GetString().ShouldNotBeNullOrEmpty();
            }
        }

        (await walked.StateAsync()).ShouldBe(before);
    }

    [Fact]
    public async Task What_belongs_to_another_tenant_is_not_there()
    {
        var stranger = await TestTenant.NewAsync();
        var before = await walked.StateAsync();
        foreach (var path in new[] { $"registry/models/{WholeTenant.Model}", $"features/datasets/{WholeTenant.Dataset}", $"inference/endpoints/{WholeTenant.Endpoint}", $"inference/predictions/{walked.Ids["predictions/id"]}", $"registry/training-jobs/{walked.Ids["training-jobs/id"]}" })
        {
            var answer = await stranger.Developer.GetAsync($"api/v1/{path}");
            var problem = await answer.ShouldBeAsync(404);
            answer.Content.Headers.ContentType?.MediaType.ShouldBe("application/problem+json");
            problem.GetProperty("mend").GetString().ShouldNotBeNullOrEmpty(path);
        }

        await (await stranger.Developer.PostAsync(Predict, new StringContent($$"""{"inputs": {{Row}}}""", Encoding.UTF8, Json))).ShouldRefuseAsync(404, "no-such-endpoint");
        (await walked.StateAsync()).ShouldBe(before);
    }

    private sealed record Mistake(string What, string Path, string Type, byte[] Body, int Status, string Code, string Field);

    [Theory]
    [InlineData("GET", "api/v1/registry/modles", 404, "no-such-address")]
    [InlineData("PATCH", "api/v1/registry/models", 405, "method-not-allowed")]
    public async Task An_address_or_method_that_is_none_is_told_in_the_same_shape(string method, string path, int status, string code)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        (await (await walked.Tenant.Developer.SendAsync(request)).ShouldRefuseAsync(status, code)).GetProperty("mend").GetString().ShouldNotBeNullOrEmpty();
    }

    private static byte[] Text(string text) => Encoding.UTF8.GetBytes(text);

    /// <summary>The tenant that all mistakes are made in.</summary>
    public sealed class Walked : IAsyncLifetime
    {
        private WholeTenant whole = null!;

        internal TestTenant Tenant => whole.Tenant;

        internal IReadOnlyDictionary<string, string> Ids => whole.Ids;

        public async Task InitializeAsync() => whole = await WholeTenant.BuildAsync();

        public Task DisposeAsync() => Task.CompletedTask;

        /// <summary>All that a user can see of it, and the files under it. That the platform is ready and that journal and usage are equal is asserted in passing.</summary>
        internal async Task<string> StateAsync()
        {
            await (await Tenant.App.ClientWith(null).GetAsync("health/ready")).ShouldBeAsync(200);
            var journaled = (await WholeTenant.StateAsync(Tenant, "api/v1/inference/predictions?limit=100")).GetProperty("items").EnumerateArray().Sum(row => row.GetProperty("units").GetInt64());
            var billed = (await WholeTenant.StateAsync(Tenant, "api/v1/billing/usage")).GetProperty("predictions").GetInt64();
            billed.ShouldBe(journaled);
            var seen = new[] { "registry/models", $"registry/models/{WholeTenant.Model}", "registry/training-jobs", "features/datasets", "features/feature-views", "inference/endpoints" };
            var state = new StringBuilder($"{journaled} predictions\n");
            foreach (var path in seen) state.AppendLine((await WholeTenant.StateAsync(Tenant, $"api/v1/{path}")).GetRawText());
            foreach (var file in Directory.GetFiles(Path.Combine(Tenant.App.Data, "blobs", Tenant.Id), "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)) state.AppendLine(file);
            return state.ToString();
        }
    }
}
