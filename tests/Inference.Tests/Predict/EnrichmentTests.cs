using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Platform.Testing;

namespace Inference.Tests.Predict;

/// <summary>Predictions by an entity's key: the feature view adds the columns that the request leaves out.</summary>
public sealed class EnrichmentTests
{
    /// <summary>H1 makes 2·10 + 100 = 120, H2 makes 2·20 + 200 = 240; H3's size is not known.</summary>
    private const string Known = "house_id,size,city,sold\nH1,10,north,16071\nH2,20,south,16072\nH3,,north,16073\n";

    [Fact]
    public async Task A_key_stands_for_the_columns_of_its_view_and_the_journal_keeps_what_was_looked_up()
    {
        var tenant = await WithViewAsync();

        var one = await tenant.PredictedAsync("""{"entities": "H1"}""");
        one.GetProperty("prediction").GetDouble().ShouldBe(120);
        one.GetProperty("timings").TryGetProperty("features", out _).ShouldBeTrue();

        var many = await tenant.PredictedAsync("""{"entities": ["H2", "H1"]}""");
        many.GetProperty("predictions").EnumerateArray().Select(row => row.GetProperty("prediction").GetDouble()).ShouldBe([240, 120]);

        var row = await tenant.Developer.GetJsonAsync($"api/v1/inference/predictions/{one.GetProperty("id").GetString()}");
        var features = row.GetProperty("features");
        (features.GetProperty("view").GetString(), features.GetProperty("keys")[0].GetString(), features.GetProperty("values")[0].GetProperty("size").GetDouble()).ShouldBe(("houses", "H1", 10));
        (await tenant.UsageAsync()).ShouldBe(3);
    }

    [Fact]
    public async Task What_the_request_says_wins_over_what_the_view_knows()
    {
        var tenant = await WithViewAsync();
        var answer = await tenant.PredictedAsync("""{"inputs": {"size": 50}, "entities": "H1"}""");
        answer.GetProperty("prediction").GetDouble().ShouldBe(200);

        var row = await tenant.Developer.GetJsonAsync($"api/v1/inference/predictions/{answer.GetProperty("id").GetString()}");
        row.GetProperty("inputs").GetRawText().ShouldBe("""{"size":50}""");
        var added = row.GetProperty("features").GetProperty("values")[0];
        added.TryGetProperty("size", out _).ShouldBeFalse();
        added.GetProperty("city").GetString().ShouldBe("north");

        // And it fills what the view does not know.
        (await tenant.PredictedAsync("""{"inputs": [{"size": 1}, {}], "entities": ["H3", "H2"]}""")).GetProperty("predictions")[0].GetProperty("prediction").GetDouble().ShouldBe(102);
    }

    [Fact]
    public async Task A_rule_of_the_version_sees_what_was_looked_up_as_it_sees_what_was_sent()
    {
        var (owner, tenant) = (await TestTenant.NewAsync(), await WithViewAsync());
        await owner.UploadAsync("base", OnnxFiles.Houses());
        await (await owner.Admin.PutAsJsonAsync("api/v1/registry/models/base/versions/1/sharing", new { tenants = new[] { tenant.Id } })).ShouldBeAsync(200);
        object rules = new[] { new { name = "south", when = new[] { new { column = "city", @is = "=", value = "south" } }, then = new { cap = 100 } } };
        await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/models/houses/derived-versions", new { from = new { tenant = owner.Id, model = "base", version = 1 }, rules })).ShouldBeAsync(201);
        await (await tenant.Developer.PutAsJsonAsync($"{Deployments.Endpoints}/houses", new { model = "houses", alias = "2", featureView = "houses" })).ShouldBeAsync(200);

        (await tenant.PredictedAsync("""{"entities": ["H1", "H2"]}""")).GetProperty("predictions").EnumerateArray().Select(row => row.GetProperty("prediction").GetDouble()).ShouldBe([120, 100]);
        (await tenant.PredictedAsync("""{"inputs": {"city": "north"}, "entities": "H2"}""")).GetProperty("prediction").GetDouble().ShouldBe(140);
    }

    [Fact]
    public async Task An_unknown_key_or_value_is_refused_with_the_row_the_key_and_the_view_and_not_billed()
    {
        var tenant = await WithViewAsync();
        await Refuses("""{"entities": "H9"}""", "missing-column", "size", "no entity 'H9'");
        await Refuses("""{"entities": ["H1", "H9"]}""", "missing-column", "inputs[1].size", "no entity 'H9'");
        await Refuses("""{"entities": "H3"}""", "missing-column", "size", "no value of 'size' for the entity 'H3'");
        await Refuses("""{"inputs": {"city": "north"}}""", "missing-column", "size", "'size' is missing");
        await Refuses("""{"inputs": [{}, {}], "entities": ["H1"]}""", "entities-do-not-match", "entities", "2 rows in 'inputs' and 1 keys");
        (await tenant.UsageAsync()).ShouldBe(0);

        async Task Refuses(string body, string code, string field, string says)
        {
            var problem = await (await tenant.PredictAsync(body)).ShouldRefuseAsync(400, code);
            problem.GetProperty("field").GetString().ShouldBe(field);
            problem.GetProperty("detail").GetString()!.ShouldContain(says);
            problem.GetProperty("mend").GetString().ShouldNotBeNullOrEmpty();
        }
    }

    [Fact]
    public async Task An_endpoint_without_a_view_says_that_it_looks_nothing_up()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        var problem = await (await tenant.PredictAsync("""{"entities": "H1"}""")).ShouldBeAsync(400);
        problem.GetProperty("field").GetString().ShouldBe("entities");
        problem.GetProperty("mend").GetString().ShouldNotBeNullOrEmpty();
    }

    private static async Task<TestTenant> WithViewAsync()
    {
        var tenant = await TestTenant.NewAsync();
        using var csv = new ByteArrayContent(Encoding.UTF8.GetBytes(Known)) { Headers = { ContentType = new MediaTypeHeaderValue("text/csv") } };
        await (await tenant.Developer.PostAsync("api/v1/features/datasets?name=houses", csv)).ShouldBeAsync(201);
        await (await tenant.Developer.PostAsJsonAsync("api/v1/features/entities", new { name = "house", description = "A house" })).ShouldBeAsync(201);
        await (await tenant.Developer.PostAsJsonAsync("api/v1/features/feature-views", new { name = "houses", entity = "house", dataset = "houses", keyColumn = "house_id" })).ShouldBeAsync(201);
        await (await tenant.Developer.PostAsync("api/v1/features/feature-views/houses/materialise", null)).ShouldBeAsync(202);
        await Eventually.BecomesAsync("the view to be materialised", () => tenant.Developer.GetJsonAsync("api/v1/features/feature-views/houses"), view => view.GetProperty("materialised").ValueKind is not JsonValueKind.Null);

        await tenant.PointAsync("houses", "live", await tenant.UploadAsync("houses", OnnxFiles.Houses()));
        await (await tenant.Developer.PostAsJsonAsync(Deployments.Endpoints, new { name = "houses", model = "houses", alias = "live", featureView = "houses" })).ShouldBeAsync(201);
        return tenant;
    }
}
