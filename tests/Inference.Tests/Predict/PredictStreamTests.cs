using System.Buffers;
using System.Text;
using System.Text.Json;
using CsCheck;
using Microsoft.Extensions.DependencyInjection;
using Platform.Inference.Predict;
using Platform.Inference.Predict.Runtimes;
using Platform.Testing;

namespace Inference.Tests.Predict;

/// <summary>Many rows, answered as they are ready.</summary>
public sealed class PredictStreamTests
{
    [Fact]
    public async Task Rows_arrive_part_by_part_in_order_each_part_is_a_prediction_and_the_bill_is_the_rows()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        await using var stream = await OpenAsync(tenant, $$$"""{"context": {"order": "4711"}, "inputs": [{{{Rows(1100)}}}], "options": {"interval": false}}""");
        var events = await stream.RestAsync();
        events.Select(one => one.Name).ShouldBe(["predictions", "predictions", "predictions", "predictions", "predictions", "done"]);
        events[..^1].Select(one => one.Data.GetProperty("firstRow").GetInt32()).ShouldBe([0, 250, 500, 750, 1000]);
        events[..^1].SelectMany(one => one.Data.GetProperty("predictions").EnumerateArray()).Select(row => row.GetProperty("prediction").GetDouble()).ShouldBe(Enumerable.Range(0, 1100).Select(i => i * 2.0));
        var done = events[^1].Data;
        (done.GetProperty("rows").GetInt32(), done.GetProperty("events").GetInt32()).ShouldBe((1100, 5));
        done.GetProperty("totalMs").GetDouble().ShouldBeGreaterThan(0);
        (await tenant.UsageAsync()).ShouldBe(1100);

        var last = await tenant.Viewer.GetJsonAsync($"api/v1/inference/predictions/{events[^2].Data.GetProperty("id").GetString()}");
        last.GetProperty("units").GetInt32().ShouldBe(100);
        last.GetProperty("inputs")[0].GetProperty("size").GetInt32().ShouldBe(1000);
        last.GetProperty("context").GetRawText().ShouldBe("""{"order":"4711"}""");
    }

    [Fact]
    public async Task An_event_leaves_before_the_next_part_runs_and_a_client_that_goes_pays_for_what_was_answered()
    {
        await using var app = await PlatformApp.StartOwnAsync(new Dictionary<string, string> { ["Inference:ConcurrentRuns"] = "1", ["Inference:GuestRuns"] = "0" });
        var gate = app.Services.GetRequiredService<RunGate>();
        var tenant = await TestTenant.NewAsync(app).WithEndpointAsync(OnnxFiles.Houses());

        // One behind the other: the first part, then somebody else, who keeps the only core.
        var seat = (await gate.EnterAsync("other", default)).Value;
        var opening = OpenAsync(tenant, $$"""{"inputs": [{{Rows(1000)}}]}""");
        await Eventually.BecomesAsync("the first part to wait", () => Task.FromResult(gate.Waiting), count => count == 1);
        var next = gate.EnterAsync("other", default).AsTask();
        gate.Exit(seat);
        seat = (await next).Value;

        var stream = await opening;
        (await stream.NextAsync())!.Data.GetProperty("predictions").GetArrayLength().ShouldBe(250);
        await Eventually.BecomesAsync("the second part to wait", () => Task.FromResult(gate.Waiting), count => count == 1);
        await stream.DisposeAsync();
        await Eventually.BecomesAsync("the vanished client's work to leave the line", () => Task.FromResult(gate.Waiting), count => count == 0);
        gate.Exit(seat);
        (await tenant.PredictedAsync(Deployments.Row)).GetProperty("prediction").GetDouble().ShouldBe(102);
        (await tenant.UsageAsync()).ShouldBe(251);
    }

    [Fact]
    public async Task A_bad_row_far_down_ends_the_stream_with_its_name_and_what_was_answered_before_stands()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        await using var stream = await OpenAsync(tenant, $$"""{"inputs": [{{Rows(600)}}, {"size": "big", "city": "x", "sold": 0}, {{Rows(600)}}]}""");
        var events = await stream.RestAsync();
        events.Select(one => one.Name).ShouldBe(["predictions", "predictions", "error"]);
        var problem = events[^1].Data;
        (problem.GetProperty("status").GetInt32(), problem.GetProperty("code").GetString(), problem.GetProperty("field").GetString(), problem.GetProperty("answeredRows").GetInt32())
            .ShouldBe((400, "wrong-type", "inputs[600].size", 500));
        problem.GetProperty("mend").GetString().ShouldNotBeNullOrEmpty();
        (await tenant.UsageAsync()).ShouldBe(500);
    }

    [Theory]
    [InlineData("""{"inputs": [ROWS,]}""", 400, "malformed-json", "body")]
    [InlineData("""{"inputs": [ROWS]} and more""", 400, "malformed-json", "body")]
    [InlineData("""{"inputs": [ROWS], "inputs": [ROWS]}""", 400, "duplicate-member", "inputs")]
    [InlineData("""{"inputs": [ROWS], "optoins": {}}""", 400, "unknown-member", "optoins")]
    [InlineData("""{"inputs": [1, ROWS]}""", 400, "wrong-type", "inputs[0]")]
    [InlineData("""{"inputs": []}""", 400, "no-rows", "inputs")]
    [InlineData("""{}""", 400, "missing-inputs", "inputs")]
    [InlineData("""[]""", 400, "wrong-type", "body")]
    [InlineData("", 400, "malformed-json", "body")]
    [InlineData("""{"inputs": [ROWS], "entities": ["k"]}""", 400, "entities-do-not-match", "entities")]
    [InlineData("""{"inputs": [ROWS], "context": {"n": 1}}""", 400, "wrong-type", "context.n")]
    public async Task What_is_wrong_before_anything_was_answered_is_refused_as_without_a_stream(string body, int status, string code, string field)
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        var problem = await (await SendAsync(tenant, body.Replace("ROWS", Rows(300)))).ShouldRefuseAsync(status, code);
        problem.GetProperty("field").GetString().ShouldBe(field);
        (await tenant.UsageAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task There_are_limits_and_they_are_named()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        var many = new StringBuilder("""{"inputs": [{}""").Insert("""{"inputs": [{}""".Length, ",{}", PredictStream.MaxRows).Append("]}").ToString();
        (await (await SendAsync(tenant, many)).ShouldRefuseAsync(400, "too-many-rows")).GetProperty("detail").GetString()!.ShouldContain("100000");
        // Blanks would be read again with every part.
        await (await SendAsync(tenant, $$"""{ {{new string(' ', 40 << 10)}} "inputs": [{{Rows(300)}}]}""")).ShouldRefuseAsync(413, "too-much-beside-rows");
        await (await SendAsync(tenant, """{"inputs": [{"size": 1, "city": "" """ + new string(' ', 17 << 20) + "}]}")).ShouldRefuseAsync(413, "body-too-large");
        await (await SendAsync(tenant, "{}", endpoint: "nothing")).ShouldRefuseAsync(404, "no-such-endpoint");
        await (await SendAsync(tenant, $$"""{"inputs": [{{Rows(1)}}]}""", key: "k1")).ShouldRefuseAsync(400, "not-idempotent");
        (await (await tenant.PredictAsync($$"""{"inputs": [{{Rows(1001)}}]}""")).ShouldRefuseAsync(400, "too-many-rows")).GetProperty("mend").GetString()!.ShouldContain("text/event-stream");
        (await tenant.UsageAsync()).ShouldBe(0);
        (await tenant.PredictedAsync(Deployments.Row)).GetProperty("prediction").GetDouble().ShouldBe(102);
    }

    [Fact]
    public async Task One_row_is_a_stream_of_one_event_and_clients_that_take_json_first_get_json()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        await using var stream = await OpenAsync(tenant, "\uFEFF" + Deployments.Row);
        var events = await stream.RestAsync();
        events[0].Data.GetProperty("predictions")[0].GetProperty("prediction").GetDouble().ShouldBe(102);
        events[1].Data.GetProperty("rows").GetInt32().ShouldBe(1);
        var json = await (await SendAsync(tenant, Deployments.Row, accept: "application/json, text/event-stream")).ShouldBeAsync(200);
        json.GetProperty("prediction").GetDouble().ShouldBe(102);
    }

    [Fact]
    public async Task An_endpoint_retired_meanwhile_answers_no_further_part()
    {
        await using var app = await PlatformApp.StartOwnAsync(new Dictionary<string, string> { ["Inference:ConcurrentRuns"] = "1", ["Inference:GuestRuns"] = "0" });
        var gate = app.Services.GetRequiredService<RunGate>();
        var tenant = await TestTenant.NewAsync(app).WithEndpointAsync(OnnxFiles.Houses());
        var seat = (await gate.EnterAsync("other", default)).Value;
        var opening = OpenAsync(tenant, $$"""{"inputs": [{{Rows(1000)}}]}""");
        await Eventually.BecomesAsync("the first part to wait", () => Task.FromResult(gate.Waiting), count => count == 1);
        var table = app.Services.GetRequiredService<ServingTable>();
        await (await tenant.Developer.DeleteAsync($"{Deployments.Endpoints}/houses")).ShouldBeAsync(204);
        await Eventually.BecomesAsync("the endpoint to be gone", () => Task.FromResult(table.Find(tenant.Id, "houses").IsOk), there => !there);
        gate.Exit(seat);
        await using var stream = await opening;
        var events = await stream.RestAsync();
        events.Select(one => one.Name).ShouldBe(["predictions", "error"]);
        events[1].Data.GetProperty("code").GetString().ShouldBe("no-such-endpoint");
        (await tenant.UsageAsync()).ShouldBe(250);
    }

    [Fact]
    public void Whatever_the_bytes_are_the_parts_are_read_to_the_rows_of_the_whole_or_refused_as_it_is()
    {
        var plan = Plans.Houses();
        var valid = Encoding.UTF8.GetBytes("""{"context": {"n": "x"}, "inputs": [""" + string.Join(',', Enumerable.Range(0, 520).Select(i => $$"""{"size":{{i}}}""")) + """], "options": {"interval": true}}""");
        var mutated = Gen.Select(Gen.Int[0, valid.Length - 1], Gen.Byte, Gen.Int[0, 3]).List[0, 3].Select(edits => PredictRequestTests.Mutate(valid, edits));
        Gen.OneOf(Gen.Const(valid), mutated, PredictRequestTests.Json.Select(text => Encoding.UTF8.GetBytes(text))).Sample(body =>
        {
            using var whole = new PredictionWork(plan);
            var refusal = PredictRequest.Read(body, whole, out _);
            var split = StreamedRows.Of(new ReadOnlySequence<byte>(body));
            if (split.Refusal is not null) return refusal is not null;
            using var rows = split.Value;
            var read = 0;
            for (var i = 0; i < rows.Parts; i++)
            {
                using var part = new PredictionWork(plan);
                if (PredictRequest.Read(rows.Part(i).Span, part, out _) is not null) return refusal is not null;
                read += part.Rows;
            }
            return refusal is null && read == whole.Rows;
        }, iter: 2_000);
    }

    private static string Rows(int count) => string.Join(", ", Enumerable.Range(0, count).Select(i => $$"""{"size": {{i}}, "city": "a,]}\" b", "sold": 16071}"""));

    private static async Task<EventReader> OpenAsync(TestTenant tenant, string body)
    {
        var answer = await SendAsync(tenant, body);
        if (!answer.IsSuccessStatusCode) await answer.ShouldBeAsync(200);
        answer.Content.Headers.ContentType!.MediaType.ShouldBe("text/event-stream");
        return new EventReader(answer, await answer.Content.ReadAsStreamAsync());
    }

    private static Task<HttpResponseMessage> SendAsync(TestTenant tenant, string body, string endpoint = "houses", string accept = "text/event-stream", string? key = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, $"{Deployments.Endpoints}/{endpoint}/predict") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.Accept.ParseAdd(accept);
        if (key is not null) request.Headers.Add("Idempotency-Key", key);
        return tenant.Developer.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
    }

    private sealed record Event(string Name, JsonElement Data);

    /// <summary>Reads events as a client does, one when it comes.</summary>
    private sealed class EventReader(HttpResponseMessage answer, Stream stream) : IAsyncDisposable
    {
        private readonly StreamReader lines = new(stream, Encoding.UTF8);

        public async Task<Event?> NextAsync()
        {
            if (await lines.ReadLineAsync() is not { } name) return null;
            var data = await lines.ReadLineAsync();
            (await lines.ReadLineAsync()).ShouldBe("");
            name.ShouldStartWith("event: ");
            data!.ShouldStartWith("data: ");
            return new Event(name["event: ".Length..], JsonDocument.Parse(data!["data: ".Length..]).RootElement);
        }

        public async Task<List<Event>> RestAsync()
        {
            List<Event> events = [];
            while (await NextAsync() is { } next) events.Add(next);
            return events;
        }

        public ValueTask DisposeAsync()
        {
            lines.Dispose();
            answer.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
