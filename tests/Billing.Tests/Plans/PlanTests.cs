using System.Net.Http.Json;
using System.Text.Json;
using Platform.Billing.Contracts;
using Platform.Billing.Plans;
using Platform.Billing.Subscriptions;
using Platform.Testing;

namespace Billing.Tests.Plans;

public sealed class PlanTests
{
    [Fact]
    public async Task A_new_price_is_a_new_revision_and_the_same_price_is_none()
    {
        var app = await PlatformApp.SharedAsync();
        using var platform = app.ClientWith(PlatformApp.AdminKey);
        var plan = $"p-{Guid.NewGuid().ToString("N")[..8]}";

        (await PriceAsync(0.01m)).ShouldBe(1);
        (await PriceAsync(0.01m)).ShouldBe(1);
        (await PriceAsync(0.02m)).ShouldBe(2);

        async Task<int> PriceAsync(decimal price) =>
            (await (await platform.PutAsJsonAsync($"api/v1/billing/plans/{plan}", new { pricePerPrediction = price, currency = "EUR" })).ShouldBeAsync(200)).GetProperty("revision").GetInt32();
    }

    [Fact]
    public async Task Limits_are_part_of_a_plan_and_what_is_left_out_is_the_hosts()
    {
        using var platform = (await PlatformApp.SharedAsync()).ClientWith(PlatformApp.AdminKey);
        var plan = $"p-{Guid.NewGuid().ToString("N")[..8]}";
        var priced = await (await platform.PutAsJsonAsync($"api/v1/billing/plans/{plan}",
            new { pricePerPrediction = 0, currency = "EUR", requestsPerSecond = 2.5, burst = 10, requestsPerSecondPerKey = 1, maxConcurrent = 4 })).ShouldBeAsync(200);
        (priced.GetProperty("requestsPerSecond").GetDouble(), priced.GetProperty("burst").GetInt32()).ShouldBe((2.5, 10));
        (priced.GetProperty("requestsPerSecondPerKey").GetDouble(), priced.GetProperty("maxConcurrent").GetInt32()).ShouldBe((1, 4));

        var without = await (await platform.PutAsJsonAsync($"api/v1/billing/plans/{plan}", new { pricePerPrediction = 0, currency = "EUR" })).ShouldBeAsync(200);
        without.GetProperty("revision").GetInt32().ShouldBe(2);
        (!without.TryGetProperty("burst", out var burst) || burst.ValueKind is JsonValueKind.Null).ShouldBeTrue();
    }

    [Fact]
    public void A_plan_priced_before_plans_had_limits_is_still_read_and_leaves_them_to_the_host()
    {
        var priced = JsonSerializer.Deserialize<PlanPriced>("""{"pricePerPrediction": 0.01, "currency": "EUR", "monthlyQuota": 5}""", JsonSerializerOptions.Web)!;
        Entitlements.Of(Plan.Default.Apply(priced)).ShouldBe(new Entitlement("standard", "standard@2", 5, 0.01m, "EUR", RequestLimits.None));
    }

    [Theory]
    [InlineData("requestsPerSecond", 0)]
    [InlineData("requestsPerSecondPerKey", -1)]
    [InlineData("burst", 0)]
    [InlineData("maxConcurrent", 0)]
    public async Task A_limit_that_lets_nothing_through_is_refused_by_field(string field, int value)
    {
        using var platform = (await PlatformApp.SharedAsync()).ClientWith(PlatformApp.AdminKey);
        var body = new Dictionary<string, object> { ["pricePerPrediction"] = 0, ["currency"] = "EUR", [field] = value };
        var problem = await (await platform.PutAsJsonAsync("api/v1/billing/plans/odd", body)).ShouldRefuseAsync(400, "invalid-field");
        problem.GetProperty("field").GetString().ShouldBe(field);
    }

    [Theory]
    [InlineData(-1, "EUR", "pricePerPrediction")]
    [InlineData(0.000000001, "EUR", "pricePerPrediction")]
    [InlineData(1, "euro", "currency")]
    public async Task A_price_that_makes_no_sense_is_refused_by_field(double price, string currency, string field)
    {
        using var platform = (await PlatformApp.SharedAsync()).ClientWith(PlatformApp.AdminKey);
        var problem = await (await platform.PutAsJsonAsync("api/v1/billing/plans/odd", new { pricePerPrediction = price, currency })).ShouldRefuseAsync(400, "invalid-field");
        problem.GetProperty("field").GetString().ShouldBe(field);
    }

    [Fact]
    public async Task A_tenant_cannot_price_plans_nor_choose_its_own()
    {
        var tenant = await TestTenant.NewAsync();
        await (await tenant.Admin.PutAsJsonAsync("api/v1/billing/plans/standard", new { pricePerPrediction = 0, currency = "EUR" })).ShouldRefuseAsync(403, "permission-missing");
        await (await tenant.Admin.PutAsJsonAsync($"api/v1/billing/subscriptions/{tenant.Id}", new { plan = "standard" })).ShouldRefuseAsync(403, "permission-missing");
    }

    [Fact]
    public async Task An_unknown_tenant_or_plan_is_named()
    {
        var tenant = await TestTenant.NewAsync();
        using var platform = tenant.App.ClientWith(PlatformApp.AdminKey);
        await (await platform.PutAsJsonAsync($"api/v1/billing/subscriptions/{tenant.Id}", new { plan = "nope" })).ShouldRefuseAsync(404, "no-such-plan");
        await (await platform.PutAsJsonAsync("api/v1/billing/subscriptions/nobody", new { plan = "standard" })).ShouldRefuseAsync(404, "no-such-tenant");
    }
}
