using System.Net.Http.Json;
using Microsoft.Extensions.DependencyInjection;
using Platform.Inference.Endpoints;
using Platform.Inference.Predictions;
using Platform.Testing;

namespace Inference.Tests.Admission;

public sealed class QuotaTests
{
    [Fact]
    public async Task A_used_up_quota_refuses_and_says_why_and_a_larger_plan_lets_in_again()
    {
        var tenant = await TestTenant.NewAsync();
        await ChooseAsync(tenant, $"small-{tenant.Id}", quota: 5);
        await Task.FromResult(tenant).WithEndpointAsync(OnnxFiles.Linear(0, ("size", 2)));

        await tenant.PredictedAsync("""{"inputs": [{"size": 1},{"size": 1},{"size": 1},{"size": 1}]}""");
        await (await tenant.PredictAsync("""{"inputs": [{"size": 1},{"size": 1}]}""")).ShouldRefuseAsync(429, "monthly-quota-reached");
        // Refused calls, and calls that fail, take nothing.
        await (await tenant.PredictAsync("""{"inputs": {"size": null}}""")).ShouldRefuseAsync(400, "null-for-required");
        await tenant.PredictedAsync("""{"inputs": {"size": 1}}""");

        var usedUp = await tenant.PredictAsync("""{"inputs": {"size": 1}}""");
        var problem = await usedUp.ShouldRefuseAsync(429, "monthly-quota-reached");
        problem.GetProperty("detail").GetString().ShouldBe($"The plan 'small-{tenant.Id}' allows 5 predictions a month; 5 are used and this call asks for 1.");
        usedUp.Headers.RetryAfter!.Delta!.Value.ShouldBeInRange(TimeSpan.FromSeconds(1), TimeSpan.FromDays(31));
        (await tenant.UsageAsync()).ShouldBe(5);

        await ChooseAsync(tenant, $"large-{tenant.Id}", quota: 100);
        await Eventually.BecomesAsync("the larger plan to apply", () => tenant.PredictAsync("""{"inputs": {"size": 1}}"""), answer => answer.IsSuccessStatusCode);
        (await tenant.UsageAsync()).ShouldBe(6);
    }

    [Fact]
    public async Task After_a_restart_the_quota_begins_at_what_the_journal_holds()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Linear(0, ("size", 2)));
        for (var i = 0; i < 3; i++) await tenant.PredictedAsync("""{"inputs": [{"size": 1},{"size": 2}]}""");

        var restarted = new TenantCounts(tenant.App.Services.GetRequiredService<JournalReader>(), TimeProvider.System);
        (await restarted.AdmissionAsync(tenant.Id)).Month.Used(DateTimeOffset.UtcNow).ShouldBe(6);
    }

    [Fact]
    public async Task Limits_of_rate_and_of_calls_at_once_name_themselves()
    {
        await using var app = await PlatformApp.StartOwnAsync(new Dictionary<string, string>
        {
            ["Inference:Limits:RequestsPerSecondPerKey"] = "0.01",
            ["Inference:Limits:BurstPerKey"] = "3",
        });
        var tenant = await TestTenant.NewAsync(app).WithEndpointAsync(OnnxFiles.Linear(0, ("size", 2)));
        for (var i = 0; i < 3; i++) await tenant.PredictedAsync("""{"inputs": {"size": 1}}""");
        var refused = await tenant.PredictAsync("""{"inputs": {"size": 1}}""");
        (await refused.ShouldRefuseAsync(429, "rate-limit")).GetProperty("detail").GetString()!.ShouldContain("The key's limit of 0.01 requests a second (at most 3 at once)");
        refused.Headers.RetryAfter!.Delta!.Value.ShouldBeInRange(TimeSpan.FromSeconds(50), TimeSpan.FromSeconds(101));
        // Another key of the tenant has a bucket of its own.
        await (await tenant.Admin.PostAsJsonAsync($"{Deployments.Endpoints}/houses/predict", new { inputs = new { size = 1 } })).ShouldBeAsync(200);
    }

    private static async Task ChooseAsync(TestTenant tenant, string plan, long quota)
    {
        using var platform = tenant.App.ClientWith(PlatformApp.AdminKey);
        await (await platform.PutAsJsonAsync($"api/v1/billing/plans/{plan}", new { pricePerPrediction = 0.01m, currency = "EUR", monthlyQuota = quota })).ShouldBeAsync(200);
        await (await platform.PutAsJsonAsync($"api/v1/billing/subscriptions/{tenant.Id}", new { plan })).ShouldBeAsync(200);
    }
}
