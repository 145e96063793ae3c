using System.Net.Http.Json;
using System.Text.Json;
using Platform.Testing;

namespace Inference.Tests.Admission;

/// <summary>Limits that a plan brings, over HTTP and while the host runs.</summary>
public sealed class PlanLimitTests
{
    [Fact]
    public async Task A_plans_rate_is_refused_beyond_with_its_value_and_when_to_come_back_and_a_faster_one_holds_without_a_restart()
    {
        var (tenant, plan) = await OnPlanAsync(new { requestsPerSecond = 0.01, burst = 2 });
        await tenant.PredictedAsync(Deployments.Row);
        await tenant.PredictedAsync(Deployments.Row);

        using var answer = await tenant.PredictAsync(Deployments.Row);
        var problem = await answer.ShouldRefuseAsync(429, "rate-limit");
        problem.GetProperty("detail").GetString().ShouldBe("The tenant's limit of 0.01 requests a second (at most 2 at once) is reached.");
        answer.Headers.RetryAfter.ShouldNotBeNull().Delta.ShouldNotBeNull().TotalSeconds.ShouldBeInRange(90, 100);

        await PriceAsync(tenant, plan, new { requestsPerSecond = 1000, burst = 100 });
        await Eventually.BecomesAsync("the faster rate to hold", async () => (int)(await tenant.PredictAsync(Deployments.Row)).StatusCode, status => status == 200);
        for (var i = 0; i < 20; i++) await tenant.PredictedAsync(Deployments.Row);
    }

    [Fact]
    public async Task A_plans_rate_for_a_key_binds_each_key_by_itself()
    {
        var (tenant, _) = await OnPlanAsync(new { requestsPerSecondPerKey = 0.01, burst = 1 });
        await tenant.PredictedAsync(Deployments.Row);
        (await (await tenant.PredictAsync(Deployments.Row)).ShouldRefuseAsync(429, "rate-limit")).GetProperty("detail").GetString()!.ShouldStartWith("The key's limit of 0.01 requests a second");
        using var other = tenant.App.ClientWith(tenant.AdminKey);
        await (await other.PostAsync($"{Deployments.Endpoints}/houses/predict", new StringContent(Deployments.Row, null, "application/json"))).ShouldBeAsync(200);
    }

    [Fact]
    public async Task A_plans_limit_of_requests_at_once_is_named_with_its_value()
    {
        var (tenant, _) = await OnPlanAsync(new { maxConcurrent = 1 });
        var details = new System.Collections.Concurrent.ConcurrentBag<string>();
        await Eventually.BecomesAsync("two requests to meet", async () =>
        {
            await Task.WhenAll(Enumerable.Range(0, 16).Select(async _ =>
            {
                using var answer = await tenant.PredictAsync(Deployments.Row);
                if ((int)answer.StatusCode == 200) return;
                details.Add((await answer.ShouldRefuseAsync(429, "too-many-at-once")).GetProperty("detail").GetString()!);
                answer.Headers.RetryAfter.ShouldNotBeNull();
            }));
            return details.Count;
        }, count => count > 0);
        details.ShouldAllBe(detail => detail == "The tenant has 1 predictions under way, which is its limit.");
    }

    private static async Task<(TestTenant Tenant, string Plan)> OnPlanAsync(object limits)
    {
        var (tenant, plan) = (await TestTenant.NewAsync(), $"p-{Guid.NewGuid().ToString("N")[..8]}");
        await PriceAsync(tenant, plan, limits);
        using var platform = tenant.App.ClientWith(PlatformApp.AdminKey);
        await (await platform.PutAsJsonAsync($"api/v1/billing/subscriptions/{tenant.Id}", new { plan })).ShouldBeAsync(200);
        await Task.FromResult(tenant).WithEndpointAsync(OnnxFiles.Houses());
        return (tenant, plan);
    }

    private static async Task PriceAsync(TestTenant tenant, string plan, object limits)
    {
        var body = JsonSerializer.SerializeToNode(limits)!.AsObject();
        (body["pricePerPrediction"], body["currency"]) = (0.01, "EUR");
        using var platform = tenant.App.ClientWith(PlatformApp.AdminKey);
        var priced = await (await platform.PutAsJsonAsync($"api/v1/billing/plans/{plan}", body)).ShouldBeAsync(200);
        foreach (var (name, value) in JsonSerializer.SerializeToNode(limits)!.AsObject()) priced.GetProperty(name).GetDouble().ShouldBe(value!.GetValue<double>());
    }
}
