using System.Net.Http.Headers;
using System.Net.Http.Json;
using Inference.Tests;
using Platform.Testing;
using static Microsoft.Playwright.Assertions;

namespace Platform.Tests.Browser;

public sealed class GovernancePagesTests
{
    [Fact]
    public async Task A_version_goes_live_with_the_approval_of_a_second_person_which_its_author_cannot_give()
    {
        var tenant = await TestTenant.NewAsync();
        await (await tenant.Admin.PostAsJsonAsync("api/v1/registry/models", new { name = "houses" })).ShouldBeAsync(201);
        using var file = new ByteArrayContent(OnnxFiles.Houses()) { Headers = { ContentType = new MediaTypeHeaderValue("application/octet-stream") } };
        await (await tenant.Admin.PostAsync("api/v1/registry/models/houses/versions", file)).ShouldBeAsync(201);
        var author = await BrowserPage.SignedInAsync(tenant.App, tenant.AdminKey);

        await author.OpenAsync("/models/houses");
        await author.ClickAsync(".platform-page a:has-text('approval')");
        (await author.InputValueAsync("input[name=model]")).ShouldBe("houses");
        await author.FillAsync("input[name=request]", "Compared with last year's on the same houses");
        await author.ClickAsync("button:has-text('Ask')");
        await author.ClickAsync("button:has-text('Grant')");
        (await author.Locator("[data-testid=refusal]").InnerTextAsync()).ShouldContain("somebody else has to approve");
        await author.PicturesAsync("approval-own");

        var (email, password) = await PersonAsync(tenant, "tenant-admin");
        var second = await BrowserPage.SignedInAsync(tenant.App, email, password);
        await second.OpenAsync("/approvals");
        await second.FillAsync("input[name=note]", "Looks sound");
        await second.ClickAsync("button:has-text('Grant')");
        await Expect(second.Locator("[data-testid=approvals]")).ToContainTextAsync("granted");
        await second.PicturesAsync("approval-granted");

        await author.OpenAsync("/models/houses");
        await author.FillAsync("input[name=alias]", "champion");
        await author.ClickAsync("button:has-text('Set alias')");
        await author.Locator("button[aria-label='Remove champion']").WaitForAsync();

        await author.OpenAsync("/audit");
        var trail = author.Locator("[data-testid=audit]");
        await Expect(trail).ToContainTextAsync("governance.approval-granted");
        await Expect(trail).ToContainTextAsync("person:");
        await author.FillAsync("input[name=what]", "registry.");
        await author.ClickAsync("button:has-text('Show')");
        await Expect(trail).Not.ToContainTextAsync("governance.approval-granted");
        await Expect(trail).ToContainTextAsync("registry.alias-moved");
        await author.PicturesAsync("audit-of-the-registry");
    }

    [Fact]
    public async Task Who_may_not_decide_sees_what_is_open_and_is_offered_no_decision()
    {
        var tenant = await TestTenant.NewAsync();
        await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/models", new { name = "houses" })).ShouldBeAsync(201);
        using var file = new ByteArrayContent(OnnxFiles.Houses()) { Headers = { ContentType = new MediaTypeHeaderValue("application/octet-stream") } };
        await (await tenant.Developer.PostAsync("api/v1/registry/models/houses/versions", file)).ShouldBeAsync(201);
        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);
        await page.OpenAsync("/approvals?model=houses&version=1");
        await page.ClickAsync("button:has-text('Ask')");
        await Expect(page.Locator("[data-testid=approvals]")).ToContainTextAsync("open");
        (await page.Locator("button:has-text('Grant')").CountAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task A_person_is_added_signs_in_with_the_password_shown_once_and_is_out_as_soon_as_removed()
    {
        var tenant = await TestTenant.NewAsync();
        var admin = await BrowserPage.SignedInAsync(tenant.App, tenant.AdminKey);
        var email = $"{Guid.NewGuid():N}@example.test";
        await admin.OpenAsync("/keys");
        await admin.FillAsync("input[name=person-email]", email);
        await admin.FillAsync("input[name=person-name]", "Ada Example");
        await admin.ClickAsync("button:has-text('Add person')");
        var password = await admin.Locator("[data-testid=shown-once] code").InnerTextAsync();
        await admin.PicturesAsync("person-added");

        var person = await BrowserPage.SignedInAsync(tenant.App, email, password);
        await Expect(person.Locator(".rz-header")).ToContainTextAsync("Ada Example");

        await admin.ClickAsync("[data-testid=people] button:has-text('Remove')");
        await Expect(admin.Locator("[data-testid=people]")).Not.ToContainTextAsync(email);
        await person.OpenAsync("/datasets");
        await Expect(person.Locator("body")).ToContainTextAsync("no longer signed in");
    }

    private static async Task<(string Email, string Password)> PersonAsync(TestTenant tenant, string role)
    {
        var (email, password) = ($"{Guid.NewGuid():N}@example.test", Guid.NewGuid().ToString());
        await (await tenant.Admin.PostAsJsonAsync($"api/v1/tenancy/tenants/{tenant.Id}/people", new { email, name = "Grace Second", role, password })).ShouldBeAsync(201);
        return (email, password);
    }
}
