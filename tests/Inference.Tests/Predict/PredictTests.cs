using System.IO.Compression;
using System.Text;
using Platform.Testing;

namespace Inference.Tests.Predict;

public sealed class PredictTests
{
    [Fact]
    public async Task A_list_of_rows_is_answered_in_order_and_counted_by_row()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        var answer = await tenant.PredictedAsync("""{"inputs": [{"size": 1, "city": "north", "sold": 16071}, {"size": 2, "city": "south", "sold": 16071}, {"size": 3, "city": "elsewhere", "sold": 16071}]}""");
        answer.GetProperty("predictions").EnumerateArray().Select(row => row.GetProperty("prediction").GetDouble()).ShouldBe([102, 204, 6]);
        answer.TryGetProperty("prediction", out _).ShouldBeFalse();
        answer.TryGetProperty("interval", out _).ShouldBeFalse();
        answer.GetProperty("timings").GetProperty("total").GetDouble().ShouldBeGreaterThan(0);
        (await tenant.UsageAsync()).ShouldBe(3);
    }

    [Theory]
    [InlineData("""{"inputs": {"sise": 1}}""", "unknown-column", "sise")]
    [InlineData("""{"inputs": {"size": NaN}}""", "not-finite", "size")]
    [InlineData("""{"inputs": {"size": "big"}}""", "wrong-type", "size")]
    [InlineData("""{"inputs": {"city": "north", "sold": 0}}""", "missing-column", "size")]
    [InlineData("""{"inputs": {"size": 1,""", "malformed-json", "body")]
    [InlineData("", "malformed-json", "body")]
    public async Task Bad_input_is_a_problem_that_names_field_and_mend_and_is_not_billed(string body, string code, string field)
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        var problem = await (await tenant.PredictAsync(body)).ShouldRefuseAsync(400, code);
        problem.GetProperty("field").GetString().ShouldBe(field);
        problem.GetProperty("mend").GetString().ShouldNotBeNullOrEmpty();
        (await tenant.UsageAsync()).ShouldBe(0);
        (await tenant.Developer.GetJsonAsync("api/v1/inference/predictions")).GetProperty("items").GetArrayLength().ShouldBe(0);
    }

    [Fact]
    public async Task A_model_that_gives_no_number_refuses_the_row_and_bills_nothing()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.ByItself());
        (await tenant.PredictedAsync("""{"inputs": {"x": 2}}""")).GetProperty("prediction").GetDouble().ShouldBe(1);
        (await (await tenant.PredictAsync("""{"inputs": [{"x": 2}, {"x": 0}]}""")).ShouldRefuseAsync(400, "no-finite-prediction")).GetProperty("field").GetString().ShouldBe("inputs[1]");
        (await tenant.UsageAsync()).ShouldBe(1);
    }

    [Fact]
    public async Task A_body_over_the_limit_is_refused_whether_its_length_was_told_or_not()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        var body = Encoding.UTF8.GetBytes("{\"inputs\": {\"size\": 1, \"sold\": 0, \"city\": \"" + new string('x', 17 << 20) + "\"}}");
        await (await tenant.Developer.PostAsync($"{Deployments.Endpoints}/houses/predict", new ByteArrayContent(body))).ShouldRefuseAsync(413, "body-too-large");
        await (await tenant.Developer.PostAsync($"{Deployments.Endpoints}/houses/predict", new StreamContent(new Unmeasured(body)))).ShouldRefuseAsync(413, "body-too-large");
    }

    [Fact]
    public async Task A_large_body_that_arrives_in_pieces_is_read_whole()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        var rows = string.Join(",", Enumerable.Range(0, 1000).Select(i => $$"""{"size": {{i}}, "city": "{{new string('y', 1000)}}", "sold": 16071}"""));
        var answer = await (await tenant.Developer.PostAsync($"{Deployments.Endpoints}/houses/predict", new StreamContent(new Unmeasured(Encoding.UTF8.GetBytes($$"""{"inputs": [{{rows}}]}"""))))).ShouldBeAsync(200);
        answer.GetProperty("predictions").EnumerateArray().Select(row => row.GetProperty("prediction").GetDouble()).ShouldBe(Enumerable.Range(0, 1000).Select(i => i * 2.0));
    }

    [Fact]
    public async Task A_packed_body_is_unpacked_and_refused_with_the_reason_when_it_cannot_be()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        using var packed = new MemoryStream();
        using (var packer = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true)) packer.Write(Encoding.UTF8.GetBytes(Deployments.Row));
        (await (await PostAsync(packed.ToArray(), "gzip")).ShouldBeAsync(200)).GetProperty("prediction").GetDouble().ShouldBe(102);
        await (await PostAsync([1, 2, 3], "gzip")).ShouldRefuseAsync(400, "bad-encoding");
        await (await PostAsync([1, 2, 3], "br")).ShouldRefuseAsync(415, "unknown-encoding");

        Task<HttpResponseMessage> PostAsync(byte[] body, string encoding) =>
            tenant.Developer.PostAsync($"{Deployments.Endpoints}/houses/predict", new ByteArrayContent(body) { Headers = { ContentEncoding = { encoding } } });
    }

    [Fact]
    public async Task A_client_without_a_content_type_is_answered()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        await (await tenant.Developer.PostAsync($"{Deployments.Endpoints}/houses/predict", new ByteArrayContent(Encoding.UTF8.GetBytes(Deployments.Row)))).ShouldBeAsync(200);
    }

    [Fact]
    public async Task Journal_and_usage_and_what_callers_were_told_agree_after_a_storm_of_good_and_bad_calls()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        var told = 0;
        await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
        {
            var random = new Random(worker);
            for (var i = 0; i < 40; i++)
            {
                var rows = random.Next(1, 5);
                var bad = random.Next(4) == 0;
                var answer = await tenant.PredictAsync($$"""{"inputs": [{{string.Join(",", Enumerable.Range(0, rows).Select(r => $$"""{"size": {{(bad && r == rows - 1 ? "null" : r)}}, "city": "x", "sold": 0}"""))}}]}""");
                ((int)answer.StatusCode).ShouldBe(bad ? 400 : 200);
                if (!bad) Interlocked.Add(ref told, rows);
            }
        })));
        (await tenant.UsageAsync()).ShouldBe(told);
        long journaled = 0;
        for (string? before = ""; before is not null;)
        {
            var page = await tenant.Developer.GetJsonAsync($"api/v1/inference/predictions?limit=100{(before.Length > 0 ? $"&before={before}" : "")}");
            journaled += page.GetProperty("items").EnumerateArray().Sum(item => item.GetProperty("units").GetInt64());
            before = page.TryGetProperty("next", out var next) ? next.GetString() : null;
        }
        journaled.ShouldBe(told);
    }

    /// <summary>A stream whose length is not known, so that the client sends it in chunks.</summary>
    private sealed class Unmeasured(byte[] content) : MemoryStream(content)
    {
        public override bool CanSeek => false;
    }
}
