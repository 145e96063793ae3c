using System.Net.Http.Json;
using Platform.Testing;

namespace Governance.Tests.Policies;

public sealed class PolicyTests
{
    [Fact]
    public async Task An_approval_is_required_until_the_tenant_says_otherwise_and_saying_so_is_in_the_audit_trail()
    {
        var tenant = await TestTenant.NewAsync();
        (await (await tenant.Viewer.GetAsync("api/v1/governance/policy")).ShouldBeAsync(200)).GetProperty("approvalRequired").GetBoolean().ShouldBeTrue();

        await (await tenant.Admin.PutAsJsonAsync("api/v1/governance/policy", new { approvalRequired = false, reason = "a sandbox" })).ShouldBeAsync(200);

        var trail = await (await tenant.Viewer.GetAsync("api/v1/governance/audit?what=governance.")).ShouldBeAsync(200);
        var entry = trail.EnumerateArray().ShouldHaveSingleItem();
        entry.GetProperty("what").GetString().ShouldBe("governance.approval-rule-switched");
        entry.GetProperty("by").GetString().ShouldBe($"key:{tenant.AdminKey.Split('.')[1]}");
        entry.GetProperty("details").GetProperty("reason").GetString().ShouldBe("a sandbox");
    }

    [Fact]
    public async Task A_developer_cannot_switch_the_rule_off()
    {
        var tenant = await TestTenant.NewAsync();
        await (await tenant.Developer.PutAsJsonAsync("api/v1/governance/policy", new { approvalRequired = false, reason = "hurry" })).ShouldRefuseAsync(403, "permission-missing");
    }

    [Fact]
    public async Task Switching_needs_a_reason()
    {
        var tenant = await TestTenant.NewAsync();
        (await (await tenant.Admin.PutAsJsonAsync("api/v1/governance/policy", new { approvalRequired = false, reason = "" })).ShouldRefuseAsync(400, "invalid-field"))
            .GetProperty("field").GetString().ShouldBe("reason");
    }
}
