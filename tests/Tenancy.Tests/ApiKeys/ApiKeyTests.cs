using System.Net.Http.Json;
using Platform.Testing;

namespace Tenancy.Tests.ApiKeys;

public sealed class ApiKeyTests
{
    [Fact]
    public async Task A_key_is_shown_once_and_never_again()
    {
        var tenant = await TestTenant.NewAsync();
        var keys = await (await tenant.Admin.GetAsync($"api/v1/tenancy/tenants/{tenant.Id}/keys")).ShouldBeAsync(200);
        keys.GetArrayLength().ShouldBe(3);
        keys.ToString().ShouldNotContain(tenant.DeveloperKey.Split('.')[2]);
    }

    [Fact]
    public async Task A_revoked_key_is_refused_by_the_very_next_call()
    {
        var tenant = await TestTenant.NewAsync();
        await (await tenant.Developer.GetAsync($"api/v1/tenancy/tenants/{tenant.Id}")).ShouldBeAsync(200);

        await (await tenant.Admin.DeleteAsync($"api/v1/tenancy/tenants/{tenant.Id}/keys/{tenant.DeveloperKey.Split('.')[1]}")).ShouldBeAsync(204);

        await (await tenant.Developer.GetAsync($"api/v1/tenancy/tenants/{tenant.Id}")).ShouldRefuseAsync(401, "key-revoked");
    }

    [Fact]
    public async Task A_key_past_its_expiry_is_refused_and_says_when_it_expired()
    {
        var tenant = await TestTenant.NewAsync();
        var expiry = DateTimeOffset.UtcNow.AddSeconds(1);
        var issued = await (await tenant.Admin.PostAsJsonAsync($"api/v1/tenancy/tenants/{tenant.Id}/keys", new { name = "short", role = "viewer", expiresAt = expiry })).ShouldBeAsync(201);
        using var client = tenant.App.ClientWith(issued.GetProperty("key").GetString());

        var refused = await Eventually.BecomesAsync("the key to expire", () => client.GetAsync($"api/v1/tenancy/tenants/{tenant.Id}"), answer => (int)answer.StatusCode == 401);

        (await refused.ShouldRefuseAsync(401, "key-expired")).GetProperty("detail").GetString()!.ShouldContain(expiry.ToString("yyyy-MM-dd"));
    }

    [Fact]
    public async Task A_key_narrowed_by_scopes_may_do_no_more_than_they_say()
    {
        var tenant = await TestTenant.NewAsync();
        var issued = await (await tenant.Admin.PostAsJsonAsync($"api/v1/tenancy/tenants/{tenant.Id}/keys", new { name = "narrow", role = "developer", scopes = new[] { "inference:predict" } })).ShouldBeAsync(201);
        using var client = tenant.App.ClientWith(issued.GetProperty("key").GetString());

        await (await client.GetAsync($"api/v1/tenancy/tenants/{tenant.Id}")).ShouldRefuseAsync(403, "permission-missing");
    }

    [Theory]
    [InlineData("platform-admin", null)]
    [InlineData("king", null)]
    [InlineData("viewer", "tenancy:write")]
    public async Task A_role_or_scope_that_does_not_fit_is_named(string role, string? scope)
    {
        var tenant = await TestTenant.NewAsync();
        var answer = await tenant.Admin.PostAsJsonAsync($"api/v1/tenancy/tenants/{tenant.Id}/keys", new { name = "x", role, scopes = scope is null ? [] : new[] { scope } });
        (await answer.ShouldRefuseAsync(400, "invalid-field")).GetProperty("detail").GetString()!.ShouldContain(scope ?? role);
    }

    [Fact]
    public async Task A_developer_cannot_issue_keys()
    {
        var tenant = await TestTenant.NewAsync();
        var answer = await tenant.Developer.PostAsJsonAsync($"api/v1/tenancy/tenants/{tenant.Id}/keys", new { name = "more", role = "tenant-admin" });
        await answer.ShouldRefuseAsync(403, "permission-missing");
    }

    [Theory]
    [InlineData("mlp_nobody.000000000000.secret")]
    [InlineData("mlp_..")]
    [InlineData("nonsense")]
    public async Task A_made_up_key_is_refused_without_telling_why_more(string key)
    {
        using var client = (await PlatformApp.SharedAsync()).ClientWith(key);
        await (await client.GetAsync("api/v1/tenancy/tenants")).ShouldRefuseAsync(401, "key-unknown");
    }

    [Fact]
    public async Task A_key_with_another_tenants_name_written_into_it_is_unknown()
    {
        var (mine, theirs) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        using var client = mine.App.ClientWith(mine.AdminKey.Replace(mine.Id, theirs.Id));
        await (await client.GetAsync($"api/v1/tenancy/tenants/{theirs.Id}")).ShouldRefuseAsync(401, "key-unknown");
    }
}
