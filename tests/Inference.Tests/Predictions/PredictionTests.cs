using Platform.Testing;

namespace Inference.Tests.Predictions;

public sealed class PredictionTests
{
    [Fact]
    public async Task A_prediction_reads_back_with_what_came_in_and_what_went_out()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        var answer = await tenant.PredictedAsync("""{"inputs": {"size": 12.5, "city": "nörth", "sold": 16071}}""");
        var read = await tenant.Viewer.GetJsonAsync($"api/v1/inference/predictions/{answer.GetProperty("id").GetString()}");
        read.GetProperty("inputs").GetRawText().ShouldBe("""{"size":12.5,"city":"nörth","sold":16071}""");
        read.GetProperty("outputs").GetRawText().ShouldBe("[25]");
        (read.GetProperty("endpoint").GetString(), read.GetProperty("model").GetString(), read.GetProperty("modelVersion").GetInt32(), read.GetProperty("planVersion").GetInt32(), read.GetProperty("units").GetInt32(), read.GetProperty("dialect").GetString())
            .ShouldBe(("houses", "houses", 1, 1, 1, "predict"));
        read.GetProperty("caller").GetString().ShouldBe($"key:{tenant.DeveloperKey.Split('.')[1]}");
        read.GetProperty("priceClass").GetString().ShouldNotBeNullOrEmpty();
    }

    [Fact]
    public async Task What_the_caller_sent_along_to_find_it_by_reads_back_beside_the_rows()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        const string one = """{"size":1,"city":"north","sold":0}""";
        foreach (var rows in new[] { one, $"[{one},{one}]" })
        {
            var id = (await tenant.PredictedAsync($$$"""{"inputs": {{{rows}}}, "context": {"order":"4711","segment":"first \u00e4"}}""")).GetProperty("id").GetString();
            var read = await tenant.Viewer.GetJsonAsync($"api/v1/inference/predictions/{id}");
            read.GetProperty("inputs").GetRawText().ShouldBe(rows);
            read.GetProperty("context").GetProperty("order").GetString().ShouldBe("4711");
            read.GetProperty("context").GetProperty("segment").GetString().ShouldBe("first ä");
        }
        var without = (await tenant.PredictedAsync(Deployments.Row)).GetProperty("id").GetString();
        (await tenant.Viewer.GetJsonAsync($"api/v1/inference/predictions/{without}")).GetRawText().ShouldNotContain("4711");
        await (await tenant.PredictAsync("""{"inputs": {"size": 1, "city": "north", "sold": 0}, "context": {"order": 4711}}""")).ShouldRefuseAsync(400, "wrong-type");
        (await tenant.UsageAsync()).ShouldBe(4);
    }

    [Fact]
    public async Task The_list_goes_from_new_to_old_page_by_page_and_by_endpoint()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        await (await tenant.DeployAsync("other", "houses", "live")).ShouldBeAsync(201);
        List<string> made = [];
        for (var i = 0; i < 7; i++) made.Add((await tenant.PredictedAsync(Deployments.Row, i % 2 == 0 ? "houses" : "other")).GetProperty("id").GetString()!);

        List<string> listed = [];
        string? before = null;
        do
        {
            var page = await tenant.Viewer.GetJsonAsync($"api/v1/inference/predictions?limit=3{(before is null ? "" : $"&before={before}")}");
            listed.AddRange(page.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("id").GetString()!));
            before = page.GetProperty("next").GetString();
        }
        while (before is not null);
        // Ids of the same millisecond have no order among them.
        listed.ShouldBe(made, ignoreOrder: true);
        listed.ShouldBe(listed.OrderDescending(StringComparer.Ordinal));
        (await tenant.Viewer.GetJsonAsync("api/v1/inference/predictions?endpoint=other")).GetProperty("items").GetArrayLength().ShouldBe(3);
    }

    [Fact]
    public async Task An_id_that_is_none_finds_nothing()
    {
        var tenant = await TestTenant.NewAsync();
        foreach (var id in new[] { Guid.CreateVersion7(), Guid.NewGuid(), Guid.Empty, new Guid("ffffffff-ffff-ffff-ffff-ffffffffffff") })
        {
            await (await tenant.Viewer.GetAsync($"api/v1/inference/predictions/{id}")).ShouldRefuseAsync(404, "no-such-prediction");
            (await tenant.Viewer.GetJsonAsync($"api/v1/inference/predictions?before={id}")).GetProperty("items").GetArrayLength().ShouldBe(0);
        }
        await (await tenant.Viewer.GetAsync("api/v1/inference/predictions?limit=0")).ShouldRefuseAsync(400, "invalid-field");
        await (await tenant.Viewer.GetAsync("api/v1/inference/predictions?limit=201")).ShouldRefuseAsync(400, "invalid-field");
    }

    [Fact]
    public async Task A_buffered_answer_is_in_the_journal_a_moment_later()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses(), journalMode: "buffered");
        var id = (await tenant.PredictedAsync(Deployments.Row)).GetProperty("id").GetString();
        await Eventually.BecomesAsync("the journal row", () => tenant.Viewer.GetAsync($"api/v1/inference/predictions/{id}"), answer => answer.IsSuccessStatusCode);
        (await tenant.UsageAsync()).ShouldBe(1);
    }
}
