using Platform.Testing;

namespace Inference.Tests.ResidentModels;

public sealed class ResidentModelTests
{
    [Fact]
    public async Task A_tenant_sees_which_of_its_models_are_in_memory_why_and_since_when_they_were_used()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        await (await tenant.DeployAsync("same", "houses", "live")).ShouldBeAsync(201);
        await tenant.PredictedAsync(Deployments.Row);
        await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());

        var resident = await tenant.Viewer.GetJsonAsync("api/v1/inference/resident-models");

        resident.GetProperty("memoryBudget").GetInt64().ShouldBeGreaterThan(resident.GetProperty("residentBytes").GetInt64());
        var model = resident.GetProperty("models").EnumerateArray().ShouldHaveSingleItem();
        model.GetProperty("tenant").GetString().ShouldBe(tenant.Id);
        model.GetProperty("serves").EnumerateArray().Select(by => by.GetProperty("endpoint").GetString()).ShouldBe(["houses", "same"]);
        model.GetProperty("loaded").GetBoolean().ShouldBeTrue();
        model.GetProperty("placement").GetString().ShouldNotBeNullOrEmpty();
        model.GetProperty("bytes").GetInt64().ShouldBeGreaterThan(0);
        (DateTimeOffset.UtcNow - model.GetProperty("lastUsed").GetDateTimeOffset()).ShouldBeLessThan(TimeSpan.FromMinutes(1));

        await (await tenant.Developer.PostAsync("v2/repository/models/houses/unload", null)).ShouldBeAsync(200);
        (await tenant.Viewer.GetJsonAsync("api/v1/inference/resident-models")).GetProperty("models")[0].GetProperty("loaded").GetBoolean().ShouldBeFalse();
    }

    [Fact]
    public async Task An_endpoint_counts_by_version_and_remembers_its_last_refusals()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        await tenant.PredictedAsync(Deployments.Row);
        await tenant.PointAsync("houses", "live", await tenant.UploadAsync("houses", OnnxFiles.Linear(1, ("size", 10))));
        await Eventually.BecomesAsync("the second version to serve", () => tenant.Viewer.GetJsonAsync($"{Deployments.Endpoints}/houses"), seen => seen.GetProperty("endpoint").GetProperty("modelVersion").GetInt32() == 2);
        for (var i = 0; i < 25; i++) await (await tenant.PredictAsync($$$"""{"inputs": {"sise{{{i}}}": 1}}""")).ShouldRefuseAsync(400, "unknown-column");
        await tenant.PredictedAsync("""{"inputs": [{"size": 1}, {"size": 2}]}""");

        var live = (await tenant.Viewer.GetJsonAsync($"{Deployments.Endpoints}/houses")).GetProperty("live");

        live.GetProperty("versions").EnumerateArray().Select(version => (version.GetProperty("version").GetInt32(), version.GetProperty("predictions").GetInt64(), version.GetProperty("refused").GetInt64()))
            .ShouldBe([(2, 2L, 25L), (1, 1L, 0L)]);
        live.GetProperty("versions")[0].GetProperty("p99").GetDouble().ShouldBeGreaterThan(0);
        var recent = live.GetProperty("recentRefusals").EnumerateArray().ToArray();
        recent.Length.ShouldBe(20);
        recent[0].GetProperty("detail").GetString()!.ShouldContain("sise24");
        recent[^1].GetProperty("detail").GetString()!.ShouldContain("sise5");
    }
}
