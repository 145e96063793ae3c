using System.Net.Http.Json;
using Platform.Testing;

namespace Inference.Tests.Endpoints;

public sealed class EndpointTests
{
    [Fact]
    public async Task By_the_time_a_deployment_answers_the_endpoint_predicts()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.PointAsync("houses", "live", await tenant.UploadAsync("houses", OnnxFiles.Houses()));
        var deployed = await (await tenant.DeployAsync("houses", "houses", "live")).ShouldBeAsync(201);
        deployed.GetProperty("serving").GetBoolean().ShouldBeTrue();
        deployed.GetProperty("modelLoaded").GetBoolean().ShouldBeTrue();
        (deployed.GetProperty("planVersion").GetInt32(), deployed.GetProperty("modelVersion").GetInt32()).ShouldBe((1, 1));

        var answer = await tenant.PredictedAsync("""{"inputs": {"size": 50, "city": "south", "sold": 16356}}""");
        answer.GetProperty("prediction").GetDouble().ShouldBe(300);
        (answer.GetProperty("endpoint").GetString(), answer.GetProperty("model").GetString(), answer.GetProperty("modelVersion").GetInt32(), answer.GetProperty("planVersion").GetInt32()).ShouldBe(("houses", "houses", 1, 1));
    }

    [Fact]
    public async Task An_endpoint_that_could_not_serve_is_refused_before_anything_is_saved()
    {
        var tenant = await TestTenant.NewAsync();
        await (await tenant.DeployAsync("houses", "houses", "live")).ShouldRefuseAsync(400, "no-such-model");
        await tenant.UploadAsync("houses", OnnxFiles.Houses());
        (await (await tenant.DeployAsync("houses", "houses", "live")).ShouldRefuseAsync(400, "no-such-version")).GetProperty("field").GetString().ShouldBe("alias");
        await (await tenant.DeployAsync("Houses!", "houses", "1")).ShouldRefuseAsync(400, "invalid-field");
        (await tenant.Developer.GetJsonAsync(Deployments.Endpoints)).GetArrayLength().ShouldBe(0);

        await (await tenant.DeployAsync("houses", "houses", "1")).ShouldBeAsync(201);
        await (await tenant.DeployAsync("houses", "houses", "1")).ShouldRefuseAsync(409, "endpoint-exists");
    }

    [Fact]
    public async Task A_retired_endpoint_answers_no_more_its_predictions_stay_and_its_name_is_free()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        var id = (await tenant.PredictedAsync(Deployments.Row)).GetProperty("id").GetString();
        await (await tenant.Developer.DeleteAsync($"{Deployments.Endpoints}/houses")).ShouldBeAsync(204);
        await (await tenant.PredictAsync(Deployments.Row)).ShouldRefuseAsync(404, "no-such-endpoint");
        await (await tenant.Developer.GetAsync($"{Deployments.Endpoints}/houses")).ShouldRefuseAsync(404, "no-such-endpoint");
        await (await tenant.Developer.DeleteAsync($"{Deployments.Endpoints}/houses")).ShouldRefuseAsync(404, "no-such-endpoint");
        await tenant.Developer.GetJsonAsync($"api/v1/inference/predictions/{id}");

        var again = await (await tenant.DeployAsync("houses", "houses", "live", "buffered")).ShouldBeAsync(201);
        again.GetProperty("planVersion").GetInt32().ShouldBe(2);
    }

    [Fact]
    public async Task An_update_takes_effect_with_a_plan_version_of_its_own_and_one_that_changes_nothing_has_none()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        var same = await (await tenant.Developer.PutAsJsonAsync($"{Deployments.Endpoints}/houses", new { model = "houses", alias = "live" })).ShouldBeAsync(200);
        same.GetProperty("planVersion").GetInt32().ShouldBe(1);
        await tenant.UploadAsync("lines", OnnxFiles.Linear(1, ("size", 10)));
        var other = await (await tenant.Developer.PutAsJsonAsync($"{Deployments.Endpoints}/houses", new { model = "lines", alias = "1" })).ShouldBeAsync(200);
        other.GetProperty("planVersion").GetInt32().ShouldBe(2);
        (await tenant.PredictedAsync("""{"inputs": {"size": 2}}""")).GetProperty("prediction").GetDouble().ShouldBe(21);
        await (await tenant.Developer.PutAsJsonAsync($"{Deployments.Endpoints}/nowhere", new { model = "lines", alias = "1" })).ShouldRefuseAsync(404, "no-such-endpoint");
        await (await tenant.Developer.PutAsJsonAsync($"{Deployments.Endpoints}/houses", new { model = "lines", alias = "7" })).ShouldRefuseAsync(400, "no-such-version");
    }

    [Fact]
    public async Task The_details_hold_what_a_form_needs()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        await tenant.PredictedAsync(Deployments.Row);
        await tenant.PredictAsync("""{"inputs": {"sise": 1}}""");
        var details = await tenant.Viewer.GetJsonAsync($"{Deployments.Endpoints}/houses");
        details.GetProperty("columns").EnumerateArray().Select(column => column.GetProperty("name").GetString()).ShouldBe(["size", "city", "sold"]);
        details.GetProperty("live").GetProperty("slices").EnumerateArray().Sum(slice => slice.GetProperty("predictions").GetInt64()).ShouldBe(1);
        details.GetProperty("live").GetProperty("refusals").GetProperty("unknown-column").GetInt64().ShouldBe(1);
    }

    [Fact]
    public async Task Another_tenants_endpoint_looks_as_if_there_were_none()
    {
        var mine = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        var theirs = await TestTenant.NewAsync();
        var id = (await mine.PredictedAsync(Deployments.Row)).GetProperty("id").GetString();
        await (await theirs.PredictAsync(Deployments.Row)).ShouldRefuseAsync(404, "no-such-endpoint");
        await (await theirs.Developer.GetAsync($"{Deployments.Endpoints}/houses")).ShouldRefuseAsync(404, "no-such-endpoint");
        await (await theirs.Developer.DeleteAsync($"{Deployments.Endpoints}/houses")).ShouldRefuseAsync(404, "no-such-endpoint");
        await (await theirs.Developer.GetAsync($"api/v1/inference/predictions/{id}")).ShouldRefuseAsync(404, "no-such-prediction");
        (await theirs.Developer.GetJsonAsync("api/v1/inference/predictions")).GetProperty("items").GetArrayLength().ShouldBe(0);
        await (await theirs.Developer.GetAsync("v2/models/houses")).ShouldBeAsync(404);
    }

    [Fact]
    public async Task A_viewer_sees_endpoints_and_may_neither_change_nor_ask_them()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        (await tenant.Viewer.GetJsonAsync(Deployments.Endpoints)).GetArrayLength().ShouldBe(1);
        await (await tenant.Viewer.PostAsJsonAsync($"{Deployments.Endpoints}/houses/predict", new { inputs = new { size = 1 } })).ShouldRefuseAsync(403, "permission-missing");
        await (await tenant.Viewer.DeleteAsync($"{Deployments.Endpoints}/houses")).ShouldRefuseAsync(403, "permission-missing");
        (await (await tenant.Viewer.PostAsJsonAsync("v2/models/houses/infer", new { inputs = Array.Empty<int>() })).ShouldBeAsync(403)).GetProperty("error").GetString()!.ShouldContain("inference:predict");
    }
}
