using System.Net.Http.Json;
using Platform.Testing;

namespace Tenancy.Tests.People;

public sealed class PersonTests
{
    [Fact]
    public async Task A_person_added_to_a_tenant_can_sign_in_and_is_signed_out_by_being_removed()
    {
        var tenant = await TestTenant.NewAsync();
        var email = $"{Guid.NewGuid():N}@example.test";
        var added = await (await tenant.Admin.PostAsJsonAsync($"api/v1/tenancy/tenants/{tenant.Id}/people", new { email, name = "An Analyst", role = "viewer" })).ShouldBeAsync(201);

        using var browser = new Browserlike(tenant.App.Address);
        (await browser.SignInAsync(email, added.GetProperty("password").GetString()!)).ShouldBe("/");
        await (await browser.Client.GetAsync($"api/v1/tenancy/tenants/{tenant.Id}")).ShouldBeAsync(200);

        await (await tenant.Admin.DeleteAsync($"api/v1/tenancy/tenants/{tenant.Id}/people/{added.GetProperty("personId")}")).ShouldBeAsync(204);
        await Eventually.BecomesAsync("the removal to be heard", () => browser.Client.GetAsync($"api/v1/tenancy/tenants/{tenant.Id}"), a => (int)a.StatusCode == 401);
    }

    [Fact]
    public async Task A_wrong_password_does_not_sign_in()
    {
        var tenant = await TestTenant.NewAsync();
        var email = $"{Guid.NewGuid():N}@example.test";
        await (await tenant.Admin.PostAsJsonAsync($"api/v1/tenancy/tenants/{tenant.Id}/people", new { email, name = "An Analyst", role = "viewer", password = "correct horse battery" })).ShouldBeAsync(201);

        using var browser = new Browserlike(tenant.App.Address);
        (await browser.SignInAsync(email, "correct horse batteru")).ShouldStartWith("/signin?failed=true");
    }

    [Fact]
    public async Task A_request_that_another_site_provokes_is_not_made_with_the_persons_cookie()
    {
        var tenant = await TestTenant.NewAsync();
        using var browser = new Browserlike(tenant.App.Address);
        (await browser.SignInWithKeyAsync(tenant.AdminKey)).ShouldBe("/");

        using var forged = new HttpRequestMessage(HttpMethod.Post, $"api/v1/tenancy/tenants/{tenant.Id}/keys") { Content = JsonContent.Create(new { name = "x", role = "viewer" }) };
        forged.Headers.Add("Sec-Fetch-Site", "cross-site");
        await (await browser.Client.SendAsync(forged)).ShouldRefuseAsync(401, "no-credential");
    }
}
