using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using Platform.Testing;

namespace Inference.Tests.Predict;

public sealed class EnrichmentTests
{
    [Fact]
    public async Task Features_of_the_named_entity_fill_what_the_request_leaves_out_and_the_request_wins()
    {
        var tenant = await WithFeaturesAsync();

        (await tenant.PredictedAsync("""{"entities": "H1"}""")).GetProperty("prediction").GetDouble().ShouldBe(300);
        (await tenant.PredictedAsync("""{"inputs": {"size": 1}, "entities": "H1"}""")).GetProperty("prediction").GetDouble().ShouldBe(202);
        var many = await tenant.PredictedAsync("""{"inputs": [{}, {"city": "north"}], "entities": ["H2", "H1"]}""");
        many.GetProperty("predictions").EnumerateArray().Select(row => row.GetProperty("prediction").GetDouble()).ShouldBe([240, 200]);
        many.GetProperty("timings").TryGetProperty("features", out _).ShouldBeTrue();

        var kept = await tenant.Viewer.GetJsonAsync($"api/v1/inference/predictions/{many.GetProperty("id").GetString()}");
        kept.GetProperty("features").GetRawText().ShouldBe("""{"view":"places","keys":["H2","H1"],"values":[{"size":70,"city":"north","sold":0},{"size":50,"sold":0}]}""");
        kept.GetProperty("inputs").GetRawText().ShouldBe("""[{},{"city":"north"}]""");
    }

    [Fact]
    public async Task An_unknown_entity_is_refused_by_its_key_unless_the_request_has_all_that_is_needed()
    {
        var tenant = await WithFeaturesAsync();
        var problem = await (await tenant.PredictAsync("""{"entities": "H9"}""")).ShouldRefuseAsync(400, "missing-column");
        problem.GetProperty("detail").GetString()!.ShouldContain("no entity 'H9'");
        await tenant.PredictedAsync("""{"inputs": {"size": 1, "city": "x", "sold": 0}, "entities": "H9"}""");
        // H3 is known, but has no size.
        (await (await tenant.PredictAsync("""{"entities": "H3"}""")).ShouldRefuseAsync(400, "missing-column")).GetProperty("field").GetString().ShouldBe("size");
    }

    [Fact]
    public async Task A_feature_view_that_is_missing_empty_or_unrelated_is_refused_at_deployment()
    {
        var tenant = await WithFeaturesAsync();
        await (await DeployAsync(tenant, "a", "nowhere")).ShouldRefuseAsync(400, "no-such-feature-view");
        await CreateViewAsync(tenant, "unmaterialised");
        await (await DeployAsync(tenant, "a", "unmaterialised")).ShouldRefuseAsync(400, "feature-view-empty");
        await tenant.UploadAsync("other", OnnxFiles.Linear(0, ("unheard-of", 1)));
        await (await tenant.Developer.PostAsJsonAsync(Deployments.Endpoints, new { name = "a", model = "other", alias = "1", featureView = "places" })).ShouldRefuseAsync(400, "feature-view-unrelated");
    }

    private static async Task<TestTenant> WithFeaturesAsync()
    {
        var tenant = await TestTenant.NewAsync();
        const string csv = "house,size,city,sold\nH1,50,south,0\nH2,70,north,0\nH3,,north,0\n";
        using var content = new ByteArrayContent(Encoding.UTF8.GetBytes(csv)) { Headers = { ContentType = new MediaTypeHeaderValue("text/csv") } };
        await (await tenant.Developer.PostAsync("api/v1/features/datasets?name=houses", content)).ShouldBeAsync(201);
        await (await tenant.Developer.PostAsJsonAsync("api/v1/features/entities", new { name = "house", description = "What is sold" })).ShouldBeAsync(201);
        await CreateViewAsync(tenant, "places");
        await (await tenant.Developer.PostAsync("api/v1/features/feature-views/places/materialise", null)).ShouldBeAsync(202);
        await Eventually.BecomesAsync("the materialisation", () => tenant.Viewer.GetJsonAsync("api/v1/features/feature-views/places"),
            view => view.GetProperty("materialisation").GetProperty("status").GetString() == "succeeded");
        await tenant.UploadAsync("houses", OnnxFiles.Houses());
        await (await DeployAsync(tenant, "houses", "places")).ShouldBeAsync(201);
        return tenant;
    }

    private static async Task CreateViewAsync(TestTenant tenant, string name) =>
        await (await tenant.Developer.PostAsJsonAsync("api/v1/features/feature-views", new { name, entity = "house", dataset = "houses", keyColumn = "house" })).ShouldBeAsync(201);

    private static Task<HttpResponseMessage> DeployAsync(TestTenant tenant, string name, string view) =>
        tenant.Developer.PostAsJsonAsync(Deployments.Endpoints, new { name, model = "houses", alias = "1", featureView = view });
}
