using System.Net.Http.Json;
using Platform.Testing;
using Platform.Tests.Tenancy;
using static Microsoft.Playwright.Assertions;

namespace Platform.Tests.Browser;

public sealed class ServingPagesTests
{
    private static readonly string Endpoint = $"/endpoints/{WholeTenant.Endpoint}";

    [Fact]
    public async Task The_overview_counts_predictions_as_they_are_made_and_draws_their_latency()
    {
        var tenant = (await WholeTenant.SharedAsync()).Tenant;
        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);
        await page.OpenAsync("/");
        var number = page.Locator("[data-testid=predictions] .platform-number");
        var before = int.Parse(await number.InnerTextAsync());

        await PredictAsync(tenant, 25);

        // Without loading the page again. Other tests predict here at the same time.
        await Expect(number).Not.ToHaveTextAsync($"{before}");
        await Eventually.BecomesAsync("the page to count 25 more", async () => int.Parse(await number.InnerTextAsync()), shown => shown >= before + 25);
        (await page.Locator("[data-testid=latency] .rz-line-series path").First.GetAttributeAsync("d"))!.Length.ShouldBeGreaterThan(20);
        (await page.Locator("[data-testid=median] .platform-number").InnerTextAsync()).ShouldMatch(@"^\d[\d.,]* ms$");
        (await page.Locator("[data-testid=refused]").InnerTextAsync()).ShouldContain("unknown column");
    }

    [Fact]
    public async Task A_prediction_is_tried_in_a_form_made_from_the_model_and_read_back()
    {
        var tenant = (await WholeTenant.SharedAsync()).Tenant;
        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);
        await page.OpenAsync("/endpoints");
        await Expect(page.Locator("[data-testid=endpoints]")).ToContainTextAsync("live");
        await page.ClickAsync($"a:has-text('{WholeTenant.Endpoint}')");

        // The form is filled in with what is typical, so that one press gives a first answer.
        await page.FillAsync("[data-testid=form] input[name=area]", "120");
        await page.ClickAsync("button:has-text('Predict')");
        var answer = page.Locator("[data-testid=answer]");
        await answer.WaitForAsync();
        (await answer.InnerTextAsync()).ShouldMatch(@"between [\d,]+ and [\d,]+");
        (await answer.InnerTextAsync()).ShouldContain("90 %");
        (await page.Locator("[data-testid=curl]").InnerTextAsync()).ShouldContain("\"area\":120");
        await page.PicturesAsync("endpoint-tried");

        await page.ClickAsync("text=Read it back");
        await page.Locator("h1:has-text('Prediction')").WaitForAsync();
        (await page.Locator("[data-testid=what-came-in]").InnerTextAsync()).ShouldContain("\"area\": 120");
        (await page.Locator("[data-testid=intervals]").InnerTextAsync()).ShouldContain("upper");
        (await page.Locator("[data-testid=timings]").InnerTextAsync()).ShouldMatch(@"Run\s+[\d.]+ ms");

        await page.OpenAsync($"/predictions?endpoint={WholeTenant.Endpoint}");
        (await page.Locator("[data-testid=predictions] tbody tr").CountAsync()).ShouldBeGreaterThan(2);
    }

    [Fact]
    public async Task What_the_model_cannot_read_is_refused_under_the_form_with_field_and_mend()
    {
        var tenant = (await WholeTenant.SharedAsync()).Tenant;
        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);
        await page.OpenAsync(Endpoint);
        await page.FillAsync("[data-testid=form] input[name=area]", "spacious");
        await page.ClickAsync("button:has-text('Predict')");
        var refusal = page.Locator("[data-testid=refusal]");
        (await refusal.InnerTextAsync()).ShouldContain("'area' is a text");
        (await page.Locator("[data-testid=answer]").CountAsync()).ShouldBe(0);
        await page.PicturesAsync("endpoint-refused");
    }

    [Fact]
    public async Task An_operator_of_a_model_sees_its_versions_its_refusals_and_its_memory_and_takes_it_out_of_memory_and_back()
    {
        var tenant = (await WholeTenant.BuildAsync()).Tenant;
        await PredictAsync(tenant, 3);
        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);
        await page.OpenAsync(Endpoint);
        await Expect(page.Locator("[data-testid=versions]")).ToContainTextAsync("1 (serves now)");
        await Expect(page.Locator("[data-testid=refusals]")).ToContainTextAsync("The model has no column 'aria'");
        var memory = page.Locator("[data-testid=memory]");
        await Expect(memory).ToContainTextAsync("Last used");
        await page.PicturesAsync("endpoint-engine");

        await page.ClickAsync("button:has-text('Unload')");
        await Expect(memory).ToContainTextAsync("The next request loads it");
        await page.ClickAsync("[data-testid=memory] button:has-text('Load')");
        await Expect(memory).ToContainTextAsync("Holds about");
    }

    [Fact]
    public async Task The_model_repository_shows_a_tenant_its_own_models_and_the_platforms_administrator_all()
    {
        var (mine, theirs) = ((await WholeTenant.SharedAsync()).Tenant, (await WholeTenant.BuildAsync()).Tenant);
        var page = await BrowserPage.SignedInAsync(mine.App, mine.DeveloperKey);
        await page.OpenAsync("/resident-models");
        var models = page.Locator("[data-testid=models]");
        await Expect(models).ToContainTextAsync("price-live with price version 1");
        await Expect(models).ToContainTextAsync("in memory");
        (await models.Locator("tbody tr").CountAsync()).ShouldBe(1);
        await page.PicturesAsync("resident-models");

        var platform = await BrowserPage.SignedInAsync(mine.App, PlatformApp.AdminKey);
        await platform.OpenAsync("/");
        await platform.ClickAsync("text=Model repository");
        // Those used last stand first, on as many pages as it takes.
        await Eventually.BecomesAsync("both tenants to be listed", async () =>
        {
            await PredictAsync(mine, 1);
            await PredictAsync(theirs, 1);
            return await platform.Locator("[data-testid=models]").InnerTextAsync();
        }, text => text.Contains(mine.Id) && text.Contains(theirs.Id));
        await platform.PicturesAsync("resident-models-of-all");
    }

    [Fact]
    public async Task The_rules_of_a_version_are_told_in_words_and_a_prediction_says_which_of_them_changed_what()
    {
        var (owner, tenant) = ((await WholeTenant.SharedAsync()).Tenant, await TestTenant.NewAsync());
        await (await owner.Admin.PutAsJsonAsync($"api/v1/registry/models/{WholeTenant.Model}/versions/1/sharing", new { tenants = new[] { tenant.Id } })).ShouldBeAsync(200);
        await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/models", new { name = "mine" })).ShouldBeAsync(201);
        object[] rules =
        [
            new { name = "a-token", then = new { cap = 5 } },
            new { name = "ask-a-person", when = new[] { new { column = "area", @is = ">", value = 100 } }, then = new { flag = "Larger than most." } },
        ];
        await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/models/mine/derived-versions", new { from = new { tenant = owner.Id, model = WholeTenant.Model, version = 1 }, rules })).ShouldBeAsync(201);
        await (await tenant.Developer.PostAsJsonAsync("api/v1/inference/endpoints", new { name = "mine", model = "mine", alias = "1" })).ShouldBeAsync(201);
        var answer = await (await tenant.Developer.PostAsJsonAsync("api/v1/inference/endpoints/mine/predict", new { inputs = WholeTenant.Row })).ShouldBeAsync(200);

        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);
        await page.OpenAsync("/models/mine/versions/1");
        await Expect(page.Locator("[data-testid=rules]")).ToContainTextAsync("ask-a-person, where area > 100: says \"Larger than most.\"");
        await page.PicturesAsync("version-rules");
        await page.OpenAsync("/endpoints/mine");
        await Expect(page.Locator("[data-testid=rules]")).ToContainTextAsync("a-token, ask-a-person");
        await page.OpenAsync($"/predictions/{answer.GetProperty("id").GetString()}");
        var did = page.Locator("[data-testid=rules] tbody tr");
        (await did.First.InnerTextAsync()).ShouldMatch($@"a-token\s+{answer.GetProperty("rules").GetProperty("before").GetRawText()}\s+5\b");
        await Expect(did.Last).ToContainTextAsync("Larger than most.");
        await page.PicturesAsync("prediction-rules");
    }

    [Fact]
    public async Task A_viewer_sees_how_an_endpoint_does_and_is_not_offered_to_try_or_change_it()
    {
        var tenant = (await WholeTenant.SharedAsync()).Tenant;
        using var platform = tenant.App.ClientWith(PlatformApp.AdminKey);
        var page = await BrowserPage.SignedInAsync(tenant.App, await TestTenant.IssueKeyAsync(platform, tenant.Id, "viewer"));
        await page.OpenAsync(Endpoint);
        await page.Locator("[data-testid=figures]").WaitForAsync();
        (await page.Locator("button:has-text('Predict')").CountAsync()).ShouldBe(0);
        (await page.Locator("button:has-text('Retire')").CountAsync()).ShouldBe(0);
        await page.OpenAsync("/endpoints");
        (await page.Locator("button:has-text('Deploy')").CountAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task Usage_shows_what_the_journal_counted_and_what_it_costs()
    {
        var tenant = (await WholeTenant.BuildAsync()).Tenant;
        await PredictAsync(tenant, 12);
        var told = await WholeTenant.StateAsync(tenant, "api/v1/billing/usage");
        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.AdminKey);
        await page.OpenAsync("/usage");
        var count = page.Locator("[data-testid=usage-count] .platform-number");
        (await count.InnerTextAsync()).ShouldBe(told.GetProperty("predictions").GetInt64().ToString("N0"));
        (await page.Locator("[data-testid=invoice] tfoot").InnerTextAsync()).ShouldContain($"{told.GetProperty("predictions")}");
        (await page.Locator("[data-testid=usage-lines]").InnerTextAsync()).ShouldContain(WholeTenant.Endpoint);
    }

    private static async Task PredictAsync(TestTenant tenant, int times)
    {
        for (var i = 0; i < times; i++)
        {
            await (await tenant.Developer.PostAsJsonAsync($"api/v1/inference/endpoints/{WholeTenant.Endpoint}/predict", new { inputs = WholeTenant.Row })).ShouldBeAsync(200);
        }
    }
}
