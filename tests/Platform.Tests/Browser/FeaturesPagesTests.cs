using System.Net.Http.Headers;
using System.Text;
using Microsoft.Playwright;
using Platform.Testing;

namespace Platform.Tests.Browser;

public sealed class FeaturesPagesTests
{
    private static readonly string Sales = "house_id,sold_on,area,garden,town,price\n"
        + string.Concat(Enumerable.Range(0, 400).Select(i => $"H{i},2024-{i % 12 + 1:00}-{i % 28 + 1:00},{60 + i % 90},{(i % 2 == 0 ? "true" : "false")},{(i % 3 == 0 ? "north" : "south")},{100_000 + i * 250}\n"))
        + "H400,2024-01-01,cheap,true,north,1\nH401\n";

    [Fact]
    public async Task A_developer_uploads_a_csv_and_sees_what_was_understood_and_what_was_set_aside()
    {
        var tenant = await TestTenant.NewAsync();
        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);

        await page.OpenAsync("/datasets");
        await ChooseAsync(page, "House Sales.csv", Sales);
        await page.Locator("input[name=name]").ClickAsync();
        await page.PictureAsync("dataset-upload");
        await page.ClickAsync("button:has-text('Upload')");
        await page.ArriveAsync("/datasets/house-sales");

        await page.Locator("[data-testid=preview]").WaitForAsync();
        (await page.Locator("[data-testid=rows]").InnerTextAsync()).ShouldContain("400");
        (await page.Locator("[data-testid=quarantined]").InnerTextAsync()).ShouldContain("2");
        (await page.Locator("[data-testid=columns]").InnerTextAsync()).ShouldContain("boolean");
        (await page.Locator("[data-testid=quarantine]").InnerTextAsync()).ShouldContain("'cheap' is not a number");
        await page.SetViewportSizeAsync(1440, 1800);
        await page.PictureAsync("dataset");

        await page.OpenAsync("/datasets");
        (await page.Locator("[data-testid=datasets]").InnerTextAsync()).ShouldContain("house-sales");
        await page.SetViewportSizeAsync(1440, 900);
        await page.PictureAsync("datasets");
    }

    [Fact]
    public async Task A_file_that_cannot_be_read_is_explained_on_the_page()
    {
        var tenant = await TestTenant.NewAsync();
        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);
        await page.OpenAsync("/datasets");
        await ChooseAsync(page, "sales.csv", "price,size,price,size\n1,2,3,4\n");
        await page.ClickAsync("button:has-text('Upload')");

        var refusal = page.Locator("[data-testid=refusal]");
        (await refusal.InnerTextAsync()).ShouldContain("both called 'price'");
        (await refusal.InnerTextAsync()).ShouldContain("both called 'size'");
        await page.PictureAsync("dataset-refused");
    }

    [Fact]
    public async Task A_developer_makes_a_feature_view_and_looks_a_key_up()
    {
        var tenant = await TestTenant.NewAsync();
        using var csv = new ByteArrayContent(Encoding.UTF8.GetBytes(Sales)) { Headers = { ContentType = new MediaTypeHeaderValue("text/csv") } };
        await (await tenant.Developer.PostAsync("api/v1/features/datasets?name=sales", csv)).ShouldBeAsync(201);
        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);

        await page.OpenAsync("/feature-views?dataset=sales");
        await page.FillAsync("input[name=entity-name]", "house");
        await page.ClickAsync("button:has-text('Create entity')");
        await page.ChooseAsync("key", "house_id");
        await page.PictureAsync("feature-views-create");
        await page.ClickAsync("button:has-text('Create view')");
        await page.ArriveAsync("/feature-views/sales");

        await page.ClickAsync("button:has-text('Materialise')");
        await page.FillAsync("input[name=keys]", "H7, nowhere");
        await page.ClickAsync("button:has-text('Look up')");
        await page.Locator("[data-testid=looked-up]").Nth(1).WaitForAsync();
        (await page.Locator("[data-testid=looked-up]").First.InnerTextAsync()).ShouldContain("2024-08-08");
        (await page.Locator("[data-testid=looked-up]").Nth(1).InnerTextAsync()).ShouldContain("not known");
        (await page.Locator("[data-testid=online]").InnerTextAsync()).ShouldContain("400 keys of dataset version 1");
        await page.PictureAsync("feature-view");

        await page.OpenAsync("/feature-views");
        (await page.Locator("[data-testid=feature-views]").InnerTextAsync()).ShouldContain("400 keys");
        await page.PictureAsync("feature-views");
    }

    [Fact]
    public async Task A_viewer_sees_datasets_and_is_not_offered_what_a_viewer_may_not_do()
    {
        var tenant = await TestTenant.NewAsync();
        using var csv = new ByteArrayContent(Encoding.UTF8.GetBytes(Sales)) { Headers = { ContentType = new MediaTypeHeaderValue("text/csv") } };
        await (await tenant.Developer.PostAsync("api/v1/features/datasets?name=sales", csv)).ShouldBeAsync(201);
        using var platform = tenant.App.ClientWith(PlatformApp.AdminKey);
        var page = await BrowserPage.SignedInAsync(tenant.App, await TestTenant.IssueKeyAsync(platform, tenant.Id, "viewer"));

        await page.OpenAsync("/datasets");
        (await page.Locator("button:has-text('Upload')").CountAsync()).ShouldBe(0);
        await page.OpenAsync("/datasets/sales");
        (await page.Locator("button:has-text('Delete')").CountAsync()).ShouldBe(0);
        (await page.Locator("[data-testid=columns]").InnerTextAsync()).ShouldContain("house_id");
    }

    private static Task ChooseAsync(IPage page, string name, string csv) =>
        page.Locator("input[type=file]").SetInputFilesAsync(new FilePayload { Name = name, MimeType = "text/csv", Buffer = Encoding.UTF8.GetBytes(csv) });
}
