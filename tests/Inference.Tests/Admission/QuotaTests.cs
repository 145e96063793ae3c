using System.Net.Http.Json;
using Platform.Testing;

namespace Inference.Tests.Admission;

public sealed class QuotaTests
{
    [Fact]
    public async Task Beyond_the_plans_monthly_quota_a_call_is_refused_with_the_limit_and_when_it_begins_anew_and_is_not_billed()
    {
        var tenant = await WithQuotaAsync(5, OnnxFiles.Houses());
        await tenant.PredictedAsync(Rows(3));

        using var answer = await tenant.PredictAsync(Rows(3));
        var problem = await answer.ShouldRefuseAsync(429, "monthly-quota-reached");

        problem.GetProperty("detail").GetString()!.ShouldContain("allows 5 predictions a month; 3 are used and this call asks for 3");
        problem.GetProperty("mend").GetString()!.ShouldContain("-01");
        var wait = answer.Headers.RetryAfter.ShouldNotBeNull().Delta.ShouldNotBeNull();
        problem.GetProperty("retryAfterSeconds").GetDouble().ShouldBe(wait.TotalSeconds);
        (DateTimeOffset.UtcNow + wait).ShouldSatisfyAllConditions(again => again.AddMinutes(1).Day.ShouldBe(1), again => again.AddMinutes(1).TimeOfDay.ShouldBeLessThan(TimeSpan.FromMinutes(5)));

        // Whole calls are refused, and what is left can still be used to the last unit.
        await tenant.PredictedAsync(Rows(2));
        await (await tenant.PredictAsync(Rows(1))).ShouldRefuseAsync(429, "monthly-quota-reached");
        (await tenant.UsageAsync()).ShouldBe(5);
        (await tenant.Developer.GetJsonAsync("api/v1/inference/predictions")).GetProperty("items").EnumerateArray().Sum(item => item.GetProperty("units").GetInt32()).ShouldBe(5);
    }

    [Fact]
    public async Task What_a_call_was_refused_for_leaves_the_quota_as_it_was()
    {
        var tenant = await WithQuotaAsync(2, OnnxFiles.ByItself());
        for (var i = 0; i < 3; i++) await (await tenant.PredictAsync("""{"inputs": [{"x": 1}, {"x": 0}]}""")).ShouldRefuseAsync(400, "no-finite-prediction");
        await tenant.PredictedAsync("""{"inputs": [{"x": 1}, {"x": 2}]}""");
        await (await tenant.PredictAsync("""{"inputs": {"x": 1}}""")).ShouldRefuseAsync(429, "monthly-quota-reached");
        (await tenant.UsageAsync()).ShouldBe(2);
    }

    [Fact]
    public async Task The_open_inference_protocol_has_the_same_quota_and_says_so_in_its_own_shape()
    {
        var tenant = await WithQuotaAsync(1, OnnxFiles.ByItself());
        await tenant.PredictedAsync("""{"inputs": {"x": 1}}""");
        using var answer = await tenant.Developer.PostAsJsonAsync("v2/models/houses/infer", new { inputs = new[] { new { name = "x", datatype = "FP32", shape = new[] { 1, 1 }, data = new[] { 1 } } } });
        (await answer.ShouldBeAsync(429)).GetProperty("error").GetString()!.ShouldContain("allows 1 predictions a month");
        answer.Headers.RetryAfter.ShouldNotBeNull();
        (await tenant.UsageAsync()).ShouldBe(1);
    }

    [Fact]
    public async Task A_larger_plan_applies_to_the_next_call_and_keeps_the_count()
    {
        var tenant = await WithQuotaAsync(1, OnnxFiles.Houses());
        await tenant.PredictedAsync(Rows(1));
        await (await tenant.PredictAsync(Rows(1))).ShouldRefuseAsync(429, "monthly-quota-reached");

        // The change travels by the event store, so it holds a moment later; what is refused until then counts for nothing.
        await SubscribeAsync(tenant, monthlyQuota: 3);
        await Eventually.BecomesAsync("the larger quota to hold", async () => (int)(await tenant.PredictAsync(Rows(2))).StatusCode, status => status != 429);
        (await (await tenant.PredictAsync(Rows(1))).ShouldRefuseAsync(429, "monthly-quota-reached")).GetProperty("detail").GetString()!.ShouldContain("3 are used");
        (await tenant.UsageAsync()).ShouldBe(3);
    }

    private static string Rows(int count) => $$"""{"inputs": [{{string.Join(",", Enumerable.Repeat("""{"size": 1, "city": "north", "sold": 0}""", count))}}]}""";

    /// <summary>On its plan before its endpoint is deployed, so that the endpoint is born with the quota.</summary>
    internal static async Task<TestTenant> WithQuotaAsync(long monthlyQuota, byte[] model, PlatformApp? on = null)
    {
        var tenant = await TestTenant.NewAsync(on);
        await SubscribeAsync(tenant, monthlyQuota);
        return await Task.FromResult(tenant).WithEndpointAsync(model);
    }

    private static async Task SubscribeAsync(TestTenant tenant, long monthlyQuota)
    {
        using var platform = tenant.App.ClientWith(PlatformApp.AdminKey);
        var plan = $"p-{Guid.NewGuid().ToString("N")[..8]}";
        await (await platform.PutAsJsonAsync($"api/v1/billing/plans/{plan}", new { pricePerPrediction = 0.01, currency = "EUR", monthlyQuota })).ShouldBeAsync(200);
        await (await platform.PutAsJsonAsync($"api/v1/billing/subscriptions/{tenant.Id}", new { plan })).ShouldBeAsync(200);
    }
}
