using System.Collections.Concurrent;
using Platform.Testing;

namespace Inference.Tests.Endpoints;

public sealed class AliasSwapTests
{
    [Fact]
    public async Task Moving_the_alias_under_load_fails_no_request_and_every_answer_names_the_version_that_made_it()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Linear(1, ("size", 0)));
        await tenant.UploadAsync("houses", OnnxFiles.Linear(2, ("size", 0)));
        await tenant.UploadAsync("houses", OnnxFiles.Linear(3, ("size", 0)));
        var answers = new ConcurrentBag<(int Version, int Plan, double Prediction)>();
        using var enough = new CancellationTokenSource();
        var callers = Enumerable.Range(0, 8).Select(_ => Task.Run(async () =>
        {
            while (!enough.IsCancellationRequested)
            {
                var answer = await tenant.PredictedAsync("""{"inputs": {"size": 7}}""");
                answers.Add((answer.GetProperty("modelVersion").GetInt32(), answer.GetProperty("planVersion").GetInt32(), answer.GetProperty("prediction").GetDouble()));
            }
        })).ToArray();
        foreach (var version in new[] { 2, 3, 1, 2 })
        {
            await tenant.PointAsync("houses", "live", version);
            await Eventually.BecomesAsync($"version {version} to answer", async () => (await tenant.PredictedAsync("""{"inputs": {"size": 7}}""")).GetProperty("modelVersion").GetInt32(), serving => serving == version);
        }
        await enough.CancelAsync();
        await Task.WhenAll(callers);

        answers.ShouldAllBe(answer => answer.Prediction == answer.Version);
        answers.Select(answer => answer.Version).Distinct().Order().ShouldBe([1, 2, 3]);
        answers.GroupBy(answer => answer.Plan).ShouldAllBe(plan => plan.Select(answer => answer.Version).Distinct().Count() == 1);
    }

    [Fact]
    public async Task An_alias_taken_away_takes_the_endpoint_out_of_service_until_it_is_back()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Linear(1, ("size", 0)));
        await (await tenant.Developer.DeleteAsync("api/v1/registry/models/houses/aliases/live")).ShouldBeAsync(204);
        var refused = await Eventually.BecomesAsync("the endpoint to stop", () => tenant.PredictAsync("""{"inputs": {"size": 7}}"""), answer => !answer.IsSuccessStatusCode);
        (await refused.ShouldRefuseAsync(503, "nothing-to-serve")).GetProperty("mend").GetString()!.ShouldContain("alias");
        (await tenant.Developer.GetJsonAsync($"{Deployments.Endpoints}/houses")).GetProperty("endpoint").GetProperty("serving").GetBoolean().ShouldBeFalse();
        await tenant.PointAsync("houses", "live", 1);
        await Eventually.BecomesAsync("the endpoint to answer", () => tenant.PredictAsync("""{"inputs": {"size": 7}}"""), answer => answer.IsSuccessStatusCode);
    }

    [Fact]
    public async Task A_suspended_tenants_endpoints_do_not_answer_and_do_when_it_is_resumed()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Linear(1, ("size", 0)));
        using var platform = tenant.App.ClientWith(PlatformApp.AdminKey);
        await (await platform.PostAsync($"api/v1/tenancy/tenants/{tenant.Id}/suspend", new StringContent("""{"reason": "test"}""", System.Text.Encoding.UTF8, "application/json"))).ShouldBeAsync(200);
        await Eventually.BecomesAsync("the endpoint to stop", () => tenant.PredictAsync("""{"inputs": {"size": 7}}"""), answer => (int)answer.StatusCode == 403);
        await (await platform.PostAsync($"api/v1/tenancy/tenants/{tenant.Id}/resume", null)).ShouldBeAsync(200);
        await Eventually.BecomesAsync("the endpoint to answer", () => tenant.PredictAsync("""{"inputs": {"size": 7}}"""), answer => answer.IsSuccessStatusCode);
    }
}
