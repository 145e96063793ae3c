using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using Microsoft.Playwright;
using Platform.Testing;

namespace Platform.Tests.Browser;

public sealed class InferencePagesTests
{
    [Fact]
    public async Task A_developer_deploys_a_model_tries_it_and_reads_the_prediction_back()
    {
        var tenant = await TestTenant.NewAsync();
        await TrainAsync(tenant);
        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);

        await page.OpenAsync("/endpoints");
        await page.PictureAsync("endpoints-none");
        await page.FillAsync("input[name=name]", "prices");
        await page.FillAsync("input[name=model]", "prices");
        await page.FillAsync("input[name=alias]", "9");
        await page.ClickAsync("button:has-text('Deploy')");
        (await page.Locator("[data-testid=refusal]").InnerTextAsync()).ShouldContain("no version under '9'");
        await page.FillAsync("input[name=alias]", "1");
        await page.ClickAsync("button:has-text('Deploy')");
        await page.ClickAsync("[data-testid=endpoints] a:has-text('prices')");

        // The form is filled with typical values, so that the first try needs no thought.
        await page.Locator("[data-testid=form]").WaitForAsync();
        await page.ClickAsync("button:has-text('Predict')");
        await page.Locator("[data-testid=answer]").WaitForAsync();
        (await page.Locator("[data-testid=answer]").InnerTextAsync()).ShouldContain("with 90");
        await page.FillAsync("[data-testid=form] input[name=area]", "large");
        await page.ClickAsync("button:has-text('Predict')");
        (await page.Locator("[data-testid=refusal]").InnerTextAsync()).ShouldContain("The column 'area' is a text, not a number.");
        await page.FillAsync("[data-testid=form] input[name=area]", "120");
        await page.ClickAsync("button:has-text('Predict')");
        await page.Locator("[data-testid=refusal]").WaitForAsync(new() { State = WaitForSelectorState.Detached });
        (await page.Locator("[data-testid=curl]").InnerTextAsync()).ShouldContain("\"area\":120");
        await page.SetViewportSizeAsync(1440, 2000);
        await page.PictureAsync("endpoint");

        await page.ClickAsync("a:has-text('Read it back')");
        (await page.Locator("[data-testid=what-came-in]").InnerTextAsync()).ShouldContain("\"area\": 120");
        await page.PictureAsync("prediction");

        await page.SetViewportSizeAsync(1440, 900);
        await page.OpenAsync("/predictions?endpoint=prices");
        (await page.Locator("[data-testid=predictions] tbody tr").CountAsync()).ShouldBe(2);
        await page.PictureAsync("predictions");
        await page.OpenAsync("/endpoints");
        await page.PictureAsync("endpoints");
    }

    [Fact]
    public async Task A_viewer_sees_an_endpoint_and_is_offered_nothing_they_may_not_do()
    {
        var tenant = await TestTenant.NewAsync();
        await TrainAsync(tenant);
        await (await tenant.Developer.PostAsJsonAsync("api/v1/inference/endpoints", new { name = "prices", model = "prices", alias = "1" })).ShouldBeAsync(201);
        using var admin = tenant.App.ClientWith(PlatformApp.AdminKey);
        var page = await BrowserPage.SignedInAsync(tenant.App, await TestTenant.IssueKeyAsync(admin, tenant.Id, "viewer"));

        await page.OpenAsync("/endpoints");
        (await page.Locator("button:has-text('Deploy')").CountAsync()).ShouldBe(0);
        await page.OpenAsync("/endpoints/prices");
        await page.Locator("[data-testid=figures]").WaitForAsync();
        (await page.Locator("button:has-text('Predict')").CountAsync()).ShouldBe(0);
        (await page.Locator("button:has-text('Retire')").CountAsync()).ShouldBe(0);
        await page.OpenAsync("/endpoints/nowhere");
        (await page.Locator("[data-testid=refusal]").InnerTextAsync()).ShouldContain("no endpoint 'nowhere'");
        await page.OpenAsync($"/predictions/{Guid.NewGuid()}");
        (await page.Locator("[data-testid=refusal]").InnerTextAsync()).ShouldContain("no prediction");
    }

    private static async Task TrainAsync(TestTenant tenant)
    {
        using var csv = new ByteArrayContent(Sales()) { Headers = { ContentType = new MediaTypeHeaderValue("text/csv") } };
        await (await tenant.Developer.PostAsync("api/v1/features/datasets?name=sales", csv)).ShouldBeAsync(201);
        var job = await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/training-jobs", new { dataset = "sales", target = "price", model = "prices" })).ShouldBeAsync(202);
        await Eventually.BecomesAsync("the training", async () => await (await tenant.Developer.GetAsync($"api/v1/registry/training-jobs/{job.GetProperty("id")}")).ShouldBeAsync(200),
            seen => seen.GetProperty("status").GetString() == "succeeded");
    }

    private static byte[] Sales()
    {
        var random = new Random(5);
        var csv = new StringBuilder("sold,region,area,garden,price\n");
        for (var i = 0; i < 800; i++)
        {
            int region = random.Next(4), area = random.Next(30, 200);
            csv.Append($"{new DateOnly(2022, 1, 1).AddDays(i):yyyy-MM-dd},region {region},{area},{(random.Next(2) == 0 ? "true" : "false")},{(area * 2_000) + (region * 50_000) + random.Next(20_000)}\n");
        }

        return Encoding.UTF8.GetBytes(csv.ToString());
    }
}
