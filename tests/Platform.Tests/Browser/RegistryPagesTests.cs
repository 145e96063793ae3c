using System.Net.Http.Headers;
using System.Text;
using Microsoft.Playwright;
using Platform.Testing;

namespace Platform.Tests.Browser;

public sealed class RegistryPagesTests
{
    [Fact]
    public async Task A_developer_trains_a_model_from_a_dataset_and_sees_how_good_it_is()
    {
        var tenant = await TestTenant.NewAsync();
        using var csv = new ByteArrayContent(Sales()) { Headers = { ContentType = new MediaTypeHeaderValue("text/csv") } };
        await (await tenant.Developer.PostAsync("api/v1/features/datasets?name=sales", csv)).ShouldBeAsync(201);
        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);

        await page.OpenAsync("/training-jobs?dataset=sales&model=prices");
        await page.ClickAsync(".rz-dropdown:has(input[name=target])");
        await page.ClickAsync(".rz-dropdown-item:has-text('price')");
        await page.PictureAsync("training");
        await page.ClickAsync("button:has-text('Train')");
        await page.Locator("[data-testid=doing]").WaitForAsync();
        await page.PictureAsync("training-job-running");
        await page.Locator("text=It made").WaitForAsync(new() { Timeout = 60_000 });
        await page.PictureAsync("training-job");

        await page.ClickAsync("a:has-text('prices version 1')");
        await page.Locator("[data-testid=log]").WaitForAsync();
        (await page.Locator("[data-testid=metrics]").InnerTextAsync()).ShouldContain("Test R²");
        (await page.Locator("[data-testid=signature]").InnerTextAsync()).ShouldContain("prediction");
        await page.SetViewportSizeAsync(1440, 2000);
        await page.PictureAsync("model-version");
        await page.SetViewportSizeAsync(1440, 900);

        await page.OpenAsync("/training-jobs");
        (await page.Locator("[data-testid=jobs]").InnerTextAsync()).ShouldContain("succeeded");
        await page.PictureAsync("training-jobs");

        await page.OpenAsync("/models/prices");
        await page.FillAsync("input[name=alias]", "challenger");
        await page.ClickAsync("button:has-text('Set alias')");
        await page.Locator("button[aria-label='Remove challenger']").WaitForAsync();
        await page.FillAsync("input[name=alias]", "champion");
        await page.ClickAsync("button:has-text('Set alias')");
        (await page.Locator("[data-testid=refusal]").InnerTextAsync()).ShouldContain("without an approval");
        await page.PictureAsync("model");
    }

    [Fact]
    public async Task A_model_is_registered_and_a_file_that_is_no_model_is_refused_on_the_page()
    {
        var tenant = await TestTenant.NewAsync();
        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);
        await page.OpenAsync("/models");
        await page.FillAsync("input[name=name]", "uploads");
        await page.ClickAsync("button:has-text('Register')");
        await page.ClickAsync("a:has-text('uploads')");
        await page.Locator("input[type=file]").SetInputFilesAsync(new FilePayload { Name = "table.onnx", MimeType = "application/octet-stream", Buffer = "id,price\n1,2\n"u8.ToArray() });
        (await page.Locator("[data-testid=refusal]").InnerTextAsync()).ShouldContain("not ONNX");
        await page.PictureAsync("model-upload-refused");

        await page.OpenAsync("/models");
        (await page.Locator("[data-testid=models]").InnerTextAsync()).ShouldContain("uploads");
        await page.PictureAsync("models");
    }

    private static byte[] Sales()
    {
        var random = new Random(5);
        var csv = new StringBuilder("sold,region,area,price\n");
        for (var i = 0; i < 800; i++)
        {
            int region = random.Next(4), area = random.Next(30, 200);
            csv.Append($"{new DateOnly(2022, 1, 1).AddDays(i):yyyy-MM-dd},region {region},{area},{(area * 2_000) + (region * 50_000) + random.Next(20_000)}\n");
        }

        return Encoding.UTF8.GetBytes(csv.ToString());
    }
}
