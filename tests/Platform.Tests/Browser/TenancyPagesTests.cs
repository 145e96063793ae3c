using Platform.Testing;

namespace Platform.Tests.Browser;

public sealed class TenancyPagesTests
{
    [Fact]
    public async Task An_administrator_opens_a_tenant_and_hands_out_its_first_key()
    {
        var app = await PlatformApp.SharedAsync();
        var page = await BrowserPage.SignedInAsync(app, PlatformApp.AdminKey);
        var id = $"b-{Guid.NewGuid().ToString("N")[..8]}";

        await page.OpenAsync("/tenants");
        await page.FillAsync("input[name=id]", id);
        await page.FillAsync("input[name=name]", "Browser Ltd");
        await page.ClickAsync("button:has-text('Create')");
        await page.Locator($"td:has-text('{id}')").First.WaitForAsync();
        await page.PictureAsync("tenants");

        await page.OpenAsync($"/keys?tenant={id}");
        await page.FillAsync("input[name=key-name]", "first key");
        await page.ClickAsync("button:has-text('Issue key')");
        var key = await page.Locator("[data-testid=shown-once] code").InnerTextAsync();
        await page.PictureAsync("keys");

        using var client = app.ClientWith(key);
        await (await client.GetAsync($"api/v1/tenancy/tenants/{id}")).ShouldBeAsync(200);
    }

    [Fact]
    public async Task A_bad_id_is_explained_on_the_page()
    {
        var app = await PlatformApp.SharedAsync();
        var page = await BrowserPage.SignedInAsync(app, PlatformApp.AdminKey);
        await page.OpenAsync("/tenants");
        await page.FillAsync("input[name=id]", "Not A Slug");
        await page.FillAsync("input[name=name]", "x");
        await page.ClickAsync("button:has-text('Create')");
        (await page.Locator("[data-testid=refusal]").InnerTextAsync()).ShouldContain("cannot be a name");
    }

    [Fact]
    public async Task A_wrong_key_stays_on_the_sign_in_page_and_says_so()
    {
        var app = await PlatformApp.SharedAsync();
        var page = await BrowserPage.SignedInAsync(app, PlatformApp.AdminKey);
        await page.Context.ClearCookiesAsync();
        await page.GotoAsync("/signin");
        await page.PictureAsync("signin");
        await page.FillAsync("input[name=key]", "mlp_nobody.x.y");
        await page.ClickAsync("text=Sign in with the key");
        (await page.Locator("[role=alert]").InnerTextAsync()).ShouldContain("did not work");
    }

    [Fact]
    public async Task A_page_one_may_not_see_says_which_permission_is_missing()
    {
        var tenant = await TestTenant.NewAsync();
        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);
        await page.OpenAsync("/tenants");
        (await page.Locator("[data-testid=refusal]").InnerTextAsync()).ShouldContain("platform:tenants");
    }
}
