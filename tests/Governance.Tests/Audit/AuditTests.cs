using Platform.Testing;

namespace Governance.Tests.Audit;

public sealed class AuditTests
{
    [Fact]
    public async Task The_trail_shows_a_tenants_own_doings_newest_first_page_by_page()
    {
        var (tenant, other) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        var first = await (await tenant.Viewer.GetAsync("api/v1/governance/audit?limit=2")).ShouldBeAsync(200);
        first.GetArrayLength().ShouldBe(2);
        var last = first[1].GetProperty("sequence").GetInt64();
        last.ShouldBeLessThan(first[0].GetProperty("sequence").GetInt64());

        var second = await (await tenant.Viewer.GetAsync($"api/v1/governance/audit?limit=2&before={last}")).ShouldBeAsync(200);
        second.GetArrayLength().ShouldBe(1);
        second[0].GetProperty("what").GetString().ShouldBe("tenancy.key-issued");
        second.ToString().ShouldNotContain(other.Id);
    }

    [Fact]
    public async Task The_trail_never_shows_the_hash_of_a_key()
    {
        var tenant = await TestTenant.NewAsync();
        (await (await tenant.Viewer.GetAsync("api/v1/governance/audit")).ShouldBeAsync(200)).ToString().ShouldNotContain("sha256");
    }
}
