using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using Inference.Tests;
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
        await page.ChooseAsync("target", "price");
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

        var members = new[] { new { model = "prices", version = 1, weight = 3 }, new { model = "prices", version = 1, weight = 1 } };
        await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/models/prices/composite-versions", new { kind = "weighted-mean", members })).ShouldBeAsync(201);
        await page.OpenAsync("/models/prices/versions/2");
        (await page.Locator("[data-testid=members]").InnerTextAsync()).ShouldContain("prices version 1");
        (await page.Locator("[data-testid=members]").InnerTextAsync()).ShouldContain("75.0");
        await Assertions.Expect(page.Locator("[data-testid=signature-changes]")).ToContainTextAsync("no interval any more");
        await page.PictureAsync("composite-version");

        await page.ClickAsync("a:has-text('Lineage')");
        await page.ClickAsync("[data-testid=lineage] a[data-node='version:prices/1']");
        await page.Locator("strong:has-text('prices version 1')").WaitForAsync();
        var lineage = await page.Locator("[data-testid=lineage]").TextContentAsync();
        lineage.ShouldNotBeNull();
        lineage.ShouldContain("sales version 1");
        lineage.ShouldContain("prices version 2");
        lineage.ShouldContain("trained on");
        lineage.ShouldContain("trained by");
        await page.PicturesAsync("lineage");
        await page.ClickAsync("a:has-text('Open its page')");
        await page.Locator("[data-testid=log]").WaitForAsync();
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

    [Fact]
    public async Task A_versions_page_says_what_its_example_took_and_why_it_is_quarantined()
    {
        var tenant = await TestTenant.NewAsync();
        await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/models", new { name = "houses" })).ShouldBeAsync(201);
        await (await UploadAsync()).ShouldBeAsync(201);
        await (await tenant.Admin.PutAsJsonAsync("api/v1/registry/signing-policy", new { everywhere = true })).ShouldBeAsync(200);
        await (await UploadAsync()).ShouldBeAsync(201);

        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);
        await page.OpenAsync("/models/houses/versions/1");
        (await page.Locator("[data-testid=example]").InnerTextAsync()).ShouldContain("median of");
        await page.PictureAsync("version-example");
        await page.OpenAsync("/models/houses/versions/2");
        (await page.Locator("[data-testid=quarantine]").InnerTextAsync()).ShouldContain("must be signed");
        await page.PictureAsync("version-quarantined");

        Task<HttpResponseMessage> UploadAsync() => tenant.Developer.PostAsync("api/v1/registry/models/houses/versions", new ByteArrayContent(OnnxFiles.Houses()) { Headers = { ContentType = new("application/octet-stream") } });
    }

    [Fact]
    public async Task A_developer_derives_a_version_from_one_that_another_tenant_shares()
    {
        var (owner, tenant) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await (await owner.Developer.PostAsJsonAsync("api/v1/registry/models", new { name = "base" })).ShouldBeAsync(201);
        await (await owner.Developer.PostAsync("api/v1/registry/models/base/versions", new ByteArrayContent(OnnxFiles.Houses()) { Headers = { ContentType = new("application/octet-stream") } })).ShouldBeAsync(201);
        await (await owner.Admin.PutAsJsonAsync("api/v1/registry/models/base/versions/1/sharing", new { tenants = new[] { tenant.Id } })).ShouldBeAsync(200);
        await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/models", new { name = "mine" })).ShouldBeAsync(201);

        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);
        await page.OpenAsync("/shared-models");
        (await page.Locator("[data-testid=shared]").InnerTextAsync()).ShouldContain(owner.Id);
        await page.ClickAsync($"tr:has-text('{owner.Id}') button:has-text('Derive')");
        await page.FillAsync("input[name=model]", "mine");
        await page.ClickAsync("button:has-text('Derive') >> nth=-1");
        await page.ClickAsync("[data-testid=made] a");
        (await page.Locator("[data-testid=base]").InnerTextAsync()).ShouldContain(owner.Id);
        await page.PictureAsync("version-derived");

        // The same, and tuned to what houses cost here.
        var rows = string.Concat(Enumerable.Range(0, 300).Select(i => $"{40 + (i * 7 % 160)},{(i % 3 == 0 ? "north" : "south")},{new DateOnly(2024, 1, 1).AddDays(i):yyyy-MM-dd},{((40 + (i * 7 % 160)) * 3) + (i % 3 == 0 ? 0 : 500) + (i % 5)}\n"));
        using var csv = new StringContent($"size,city,sold,cost\n{rows}", Encoding.UTF8, "text/csv");
        await (await tenant.Developer.PostAsync("api/v1/features/datasets?name=here", csv)).ShouldBeAsync(201);
        await page.OpenAsync("/shared-models");
        await page.ClickAsync($"tr:has-text('{owner.Id}') button:has-text('Derive')");
        await page.FillAsync("input[name=model]", "mine");
        await page.FillAsync("input[name=dataset]", "here");
        await page.FillAsync("input[name=target]", "cost");
        await page.ChooseAsync("method", "FineTuning");
        await page.ClickAsync("button:has-text('Derive') >> nth=-1");
        await page.ClickAsync("[data-testid=made] a");
        (await page.Locator("[data-testid=customisation]").InnerTextAsync()).ShouldContain("a correction added to the answers, trained on 192 rows");
        (await page.Locator("[data-testid=log]").InnerTextAsync()).ShouldContain("On the 60 rows held out: RMSE");
        await page.PictureAsync("version-tuned");
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
