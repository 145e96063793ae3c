using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.Playwright;
using Platform.Testing;

namespace Platform.Tests.Browser;

public sealed class ExperimentPagesTests
{
    [Fact]
    public async Task A_person_finds_runs_with_a_filter_keeps_the_view_and_sends_its_address_to_somebody_else()
    {
        var tenant = await TestTenant.NewAsync();
        var experiment = await ExperimentAsync(tenant, "house prices");
        for (var i = 0; i < 60; i++)
        {
            await RunAsync(tenant, experiment, $"run {i:00}", [("depth", $"{i % 6}"), ("booster", i % 2 == 0 ? "gbtree" : "dart")], [("rmse", [1 + (i / 100.0)]), ("val/mae", [2 - (i / 100.0)])]);
        }

        var gone = await RunAsync(tenant, experiment, "a mistake", [], []);
        await MlflowAsync(tenant, "runs/delete", new { run_id = gone });
        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);

        await page.OpenAsync("/experiments");
        await page.FillAsync("input[name=search]", "house");
        await page.ClickAsync("[data-testid=search] button");
        await Expect(page).ToHaveURLAsync(new Regex("search=house"));
        (await page.Locator("[data-testid=experiments]").InnerTextAsync()).ShouldContain("60");
        await page.PicturesAsync("experiments");
        await page.ClickAsync("a:has-text('house prices')");

        // Ordering by a column, twice for the greatest first; a page after that is told by where the one before ended.
        var runs = page.Locator("[data-testid=runs] tbody tr");
        await Expect(runs).ToHaveCountAsync(50);
        // The run that is first upwards is the first already: the arrow tells that the order is the one asked for.
        var heading = page.Locator("th[title='metrics.rmse'] a");
        await heading.ClickAsync();
        await Expect(heading).ToContainTextAsync("↑");
        await Expect(runs.First).ToContainTextAsync("run 00");
        await heading.ClickAsync();
        await Expect(heading).ToContainTextAsync("↓");
        await Expect(runs.First).ToContainTextAsync("run 59");
        await page.ClickAsync("[data-testid=next]");
        await Expect(runs).ToHaveCountAsync(10);
        await Expect(runs.Last).ToContainTextAsync("run 00");
        await page.PicturesAsync("experiment-last-page");

        await page.FillAsync("input[name=filter]", "metrics.rmse < 1.05 and params.booster = dart");
        await page.ClickAsync("button:has-text('Search')");
        await Expect(page.Locator("[data-testid=filter-error]")).ToContainTextAsync("(At character 42.)");
        await page.PicturesAsync("experiment-filter-wrong");
        await page.FillAsync("input[name=filter]", "metrics.rmse < 1.05 and params.booster = 'dart'");
        await page.PressAsync("input[name=filter]", "Enter");
        await Expect(runs).ToHaveCountAsync(2);
        await Expect(page.Locator("[data-testid=filter-error]")).ToHaveCountAsync(0);

        // The columns are chosen from the keys that the runs have.
        await page.ClickAsync(".rz-dropdown:has(input[name=columns])");
        await page.Locator(".rz-multiselect-item:has-text('tags.mlflow.runName'), .rz-dropdown-item:has-text('tags.mlflow.runName')").First.ClickAsync();
        await Expect(page.Locator("th[title='tags.mlflow.runName']")).ToHaveCountAsync(1);
        await page.Keyboard.PressAsync("Escape");
        await page.FillAsync("input[name=view-name]", "Good darts");
        await page.ClickAsync("button:has-text('Save view')");
        await Expect(page).ToHaveURLAsync(new Regex("view=Good"));
        await Expect(runs).ToHaveCountAsync(2);
        await page.PicturesAsync("experiment-view");
        var address = page.Url;

        var other = await BrowserPage.SignedInAsync(tenant.App, tenant.AdminKey);
        await other.OpenAsync(new Uri(address).PathAndQuery);
        var theirs = other.Locator("[data-testid=runs] tbody tr");
        await Expect(theirs).ToHaveCountAsync(2);
        await Expect(theirs.First).ToContainTextAsync("run 03");
        await Expect(other.Locator("th[title='tags.mlflow.runName']")).ToHaveCountAsync(1);
        (await other.Locator("input[name=filter]").InputValueAsync()).ShouldBe("metrics.rmse < 1.05 and params.booster = 'dart'");

        await page.OpenAsync($"/experiments/{experiment}");
        await page.ClickAsync("[data-testid=deleted]");
        await Expect(runs).ToHaveCountAsync(1);
        await Expect(runs.First).ToContainTextAsync("a mistake");
        await page.CheckAsync("input[aria-label='Select a mistake']");
        await page.ClickAsync("button:has-text('Restore 1')");
        await Expect(runs).ToHaveCountAsync(0);
        await page.OpenAsync($"/experiments/{experiment}?filter={Uri.EscapeDataString("attributes.run_name = 'a mistake'")}");
        await page.CheckAsync("input[aria-label='Select a mistake']");
        await page.ClickAsync("button:has-text('Delete 1')");
        await Expect(runs).ToHaveCountAsync(0);
        await page.OpenAsync($"/runs/{gone}");
        await page.ClickAsync("button:has-text('Restore')");
        await Expect(page.Locator("button:has-text('Delete')")).ToBeVisibleAsync();
        await page.OpenAsync("/experiments");
        await page.FillAsync("input[name=name]", "rents");
        await page.ClickAsync("button:has-text('Create')");
        await Expect(page.Locator("h1")).ToHaveTextAsync("rents");
    }

    [Fact]
    public async Task A_run_shows_its_figures_its_curves_with_their_spikes_and_gaps_and_what_it_came_from()
    {
        var tenant = await TestTenant.NewAsync();
        var experiment = await ExperimentAsync(tenant, "curves");
        object[] loss = [.. Enumerable.Range(0, 900).Select(i => i is > 300 and < 330 ? (object)"NaN" : i == 700 ? 900.0 : 100.0 / (1 + i))];
        var parent = await RunAsync(tenant, experiment, "search", [("depth", "6")], []);
        var run = await RunAsync(tenant, experiment, "boosted trees", [("depth", "6"), ("note", "<b>bold</b>")], [("accuracy", [0.5, 0.8, 0.9])], ("mlflow.parentRunId", parent), ("mlflow.source.git.commit", "0123456789abcdef"), ("mlflow.source.name", "train.py"));
        await MlflowAsync(tenant, "runs/log-batch", new { run_id = run, metrics = loss.Select((value, step) => new { key = "loss", value, timestamp = 1_795_000_000_000 + (step * 1_000), step }) });
        await MlflowAsync(tenant, "runs/log-inputs", new { run_id = run, datasets = new[] { new { dataset = new { name = "sales", digest = "d1", source_type = "local", source = "{}" }, tags = new[] { new { key = "mlflow.data.context", value = "training" } } } } });
        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);

        await page.OpenAsync($"/runs/{run}");
        (await page.Locator("[data-testid=source]").InnerTextAsync()).ShouldContain("0123456789abcdef");
        (await page.Locator("[data-testid=parameters]").InnerTextAsync()).ShouldContain("<b>bold</b>");
        (await page.Locator("[data-testid=inputs]").InnerTextAsync()).ShouldContain("sales");
        (await page.Locator("[data-testid=metrics]").InnerTextAsync()).ShouldContain("900");
        var chart = page.Locator("[data-testid=curves]:has(svg[aria-label=loss])");
        await Expect(chart.Locator(".registry-gap").First).ToBeAttachedAsync();
        await Expect(chart).ToContainTextAsync("29 NaN values");
        await Expect(chart).ToContainTextAsync("no spike is lost");
        // The spike reaches the top of the plot, though it is one value of 900.
        var highest = await chart.Locator("path[fill=none]").EvaluateAsync<double>("path => path.getBBox().y");
        highest.ShouldBeLessThan(60);
        await page.PicturesAsync("run");
        await page.ClickAsync(".rz-switch");
        await Expect(chart).ToContainTextAsync("0.1");
        await page.PicturesAsync("run-log-scale");

        await page.ClickAsync("text=child of >> a[href^='/runs/']");
        await Expect(page.Locator("h1")).ToHaveTextAsync("search");
        await Expect(page.Locator("[data-testid=children]")).ToContainTextAsync("boosted trees");
    }

    [Fact]
    public async Task Files_are_looked_at_in_place_and_nothing_in_them_is_run()
    {
        var tenant = await TestTenant.NewAsync();
        var experiment = await ExperimentAsync(tenant, "files");
        var run = await RunAsync(tenant, experiment, "files", [], []);
        const string Attack = "<script>document.title = 'owned'; window.owned = true</script><img src=x onerror=\"window.owned = true\">";
        await FileAsync("page.html", Attack);
        await FileAsync("picture.svg", $"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"window.owned = true\">{Attack}</svg>");
        await FileAsync("conf/settings.json", """{"b":{"a":[1,2]},"text":"<b>"}""");
        await FileAsync("conf/table.csv", "name,price\n" + string.Concat(Enumerable.Range(0, 500).Select(i => $"house {i} <i>,{i}\n")));
        await FileAsync("weights.bin", "\0\0\0");
        await FileAsync("big.txt", string.Concat(Enumerable.Repeat("a long line of a long log\n", 20_000)));
        await BytesAsync("plot.png", Convert.FromBase64String("iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAIAAAACUFjqAAAAEklEQVR42mP8z4APMOGVHbHSAEEsAROxCnMTAAAAAElFTkSuQmCC"));
        await BytesAsync("false.png", Encoding.UTF8.GetBytes($"<html>{Attack}"));
        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);
        await page.OpenAsync($"/runs/{run}");
        var shown = page.Locator("[data-testid=artifact]");

        foreach (var hostile in (string[])["page.html", "picture.svg"])
        {
            await page.ClickAsync($"[data-testid=artifacts] a:has-text('{hostile}')");
            await Expect(shown.Locator("pre")).ToContainTextAsync("window.owned = true");
            await Expect(shown.Locator("img, iframe, object, embed, svg")).ToHaveCountAsync(0);
        }

        await page.ClickAsync("[data-testid=artifacts] button:has-text('conf')");
        await page.ClickAsync("[data-testid=artifacts] a:has-text('settings.json')");
        await Expect(shown.Locator("pre")).ToContainTextAsync("\"b\": {");
        await page.ClickAsync("[data-testid=artifacts] a:has-text('table.csv')");
        await Expect(shown.Locator("tbody tr")).ToHaveCountAsync(200);
        await Expect(shown).ToContainTextAsync("The first 200 rows.");
        await Expect(shown).ToContainTextAsync("house 3 <i>");
        await page.PicturesAsync("run-artifact-table");
        await page.ClickAsync("[data-testid=artifacts] a:has-text('weights.bin')");
        await Expect(shown).ToContainTextAsync("It is not text. Download it.");
        await page.ClickAsync("[data-testid=artifacts] a:has-text('big.txt')");
        await Expect(shown).ToContainTextAsync("The first 256.0 KiB of 507.8 KiB.");
        await page.ClickAsync("[data-testid=artifacts] a:has-text('plot.png')");
        await Expect(shown.Locator("img")).ToHaveJSPropertyAsync("naturalWidth", 10);
        await page.PicturesAsync("run-artifact-picture");
        await page.ClickAsync("[data-testid=artifacts] a:has-text('false.png')");
        await Expect(shown.Locator("img")).ToHaveAttributeAsync("alt", "false.png");
        (await page.EvaluateAsync<bool>("() => window.owned === true")).ShouldBeFalse();

        // Even where somebody opens the addresses themselves: the one is a picture or nothing, the other is kept and not opened.
        var direct = await page.Context.NewPageAsync();
        await direct.GotoAsync($"/api/v1/registry/runs/{run}/artifacts/false.png");
        (await direct.EvaluateAsync<bool>("() => window.owned === true || document.title === 'owned'")).ShouldBeFalse();
        var kept = direct.WaitForDownloadAsync();
        await Should.ThrowAsync<PlaywrightException>(() => direct.GotoAsync($"/api/v1/registry/runs/{run}/artifacts/picture.svg"));
        (await kept).SuggestedFilename.ShouldBe("picture.svg");

        // An address of a file shows it at once.
        await page.OpenAsync($"/runs/{run}?artifact=conf/settings.json");
        await Expect(shown.Locator("pre")).ToContainTextAsync("\"text\": \"<b>\"");

        Task FileAsync(string path, string content) => BytesAsync(path, Encoding.UTF8.GetBytes(content));

        async Task BytesAsync(string path, byte[] content) => await (await tenant.Developer.PutAsync($"mlflow/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/{path}", new ByteArrayContent(content))).ShouldBeAsync(200);
    }

    [Fact]
    public async Task Runs_are_compared_side_by_side_in_curves_in_coordinates_and_on_the_rows_they_were_evaluated_on()
    {
        var tenant = await TestTenant.NewAsync();
        var experiment = await ExperimentAsync(tenant, "compared");
        List<string> runs = [];
        foreach (var (name, depth, booster, error) in new[] { ("shallow", 2, "gbtree", 3.0), ("middling", 6, "gbtree", 1.0), ("deep", 12, "dart", 1.02), ("linear", 0, "", 5.0) })
        {
            var run = await RunAsync(tenant, experiment, name, [("depth", $"{depth}"), ("seed", "1"), ("note", $"<img src=x onerror='window.owned = {depth}'>"), .. booster.Length > 0 ? new[] { ("booster", booster) } : []],
                [("rmse", [.. Enumerable.Range(1, 40).Select(i => error + (10.0 / i))]), ("loss", [.. Enumerable.Range(1, 40).Select(i => error * Math.Exp(-i / 8.0))])]);
            var csv = "target,prediction\n" + string.Concat(Enumerable.Range(0, 200).Select(i => $"{100 + (i * 7 % 50)},{100 + (i * 7 % 50) + (error * ((i * 37 % 101) - 50) / 50.0 * (name == "deep" && i % 2 == 0 ? -1 : 1)):R}\n"));
            await (await tenant.Developer.PutAsync($"mlflow/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/evaluation.csv", new StringContent(csv))).ShouldBeAsync(200);
            runs.Add(run);
        }

        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);
        await page.OpenAsync($"/experiments/{experiment}");
        await page.CheckAsync("input[aria-label='Select shallow']");
        await page.CheckAsync("input[aria-label='Select middling']");
        await page.CheckAsync("input[aria-label='Select deep']");
        await page.ClickAsync("button:has-text('Compare 3')");
        await Expect(page).ToHaveURLAsync(new Regex("runs="));

        await page.OpenAsync($"/runs/compare?runs={string.Join(',', runs)}");
        var table = page.Locator("[data-testid=comparison]");
        await Expect(table.Locator("tr:has-text('seed')")).ToHaveCountAsync(1);
        await Expect(table.Locator("tr.registry-differs:has-text('depth')")).ToHaveCountAsync(1);
        await Expect(table.Locator("tr.registry-differs:has-text('seed')")).ToHaveCountAsync(0);
        await Expect(page.Locator("[data-testid=parallel] [data-run]")).ToHaveCountAsync(4);
        await Expect(page.Locator("[data-testid=parallel]")).ToContainTextAsync("gbtree");
        await Expect(page.Locator("[data-testid=parallel]")).ToContainTextAsync("missing");
        await Expect(page.Locator("[data-testid=parallel]")).ToContainTextAsync("<img src=x onerror");
        (await page.EvaluateAsync<bool>("() => window.owned === undefined")).ShouldBeTrue();
        // Of 0 to 12 deep, half and more; a run without a booster is not among those that have one.
        await page.FillAsync("input[aria-label='depth at least']", "50");
        await Expect(page.Locator("[data-testid=kept]")).ToContainTextAsync("2 of 4 runs: middling, deep");
        await Expect(page.Locator("[data-testid=parallel] .registry-out")).ToHaveCountAsync(2);
        await page.FillAsync("input[aria-label='depth at most']", "90");
        await Expect(page.Locator("[data-testid=kept]")).ToContainTextAsync("1 of 4 runs: middling");
        await page.PicturesAsync("runs-brushed");
        await page.ClickAsync("button:has-text('All runs')");
        await Expect(page.Locator("[data-testid=parallel] .registry-out")).ToHaveCountAsync(0);
        await Expect(page.Locator("svg[aria-label=rmse] [data-line]")).ToHaveCountAsync(4);
        await page.ClickAsync(".rz-switch >> nth=0");
        await Expect(table.Locator("tr:has-text('seed')")).ToHaveCountAsync(0);
        await Expect(page).ToHaveURLAsync(new Regex("only=True", RegexOptions.IgnoreCase));

        await page.ClickAsync("button:has-text('Compare on the rows')");
        var difference = page.Locator("[data-testid=difference]");
        await Expect(difference).ToContainTextAsync("The mean squared error of 'shallow' is higher than that of 'middling' by", new() { Timeout = 60_000 });
        await Expect(difference).ToContainTextAsync("is lower than that of 'linear' by");
        await page.PicturesAsync("runs-compared");

        await page.OpenAsync($"/runs/compare?runs={runs[1]},{runs[2]}");
        await page.FillAsync("input[name=truth]", "price");
        await page.ClickAsync("button:has-text('Compare on the rows')");
        await Expect(page.Locator("[data-testid=refusal]")).ToContainTextAsync("There is no column 'price'");
        await page.PicturesAsync("runs-compared-refused");
    }

    [Fact]
    public async Task A_model_shows_who_was_champion_when()
    {
        var driven = await Tenancy.WholeTenant.SharedAsync();
        var tenant = driven.Tenant;
        foreach (var version in (int[])[1])
        {
            await (await tenant.Developer.PutAsJsonAsync($"api/v1/registry/models/{Tenancy.WholeTenant.Model}/aliases/challenger", new { version })).ShouldBeAsync(200);
            await (await tenant.Developer.DeleteAsync($"api/v1/registry/models/{Tenancy.WholeTenant.Model}/aliases/challenger")).ShouldBeAsync(204);
        }

        var page = await BrowserPage.SignedInAsync(tenant.App, tenant.DeveloperKey);
        await page.OpenAsync($"/models/{Tenancy.WholeTenant.Model}");
        var history = page.Locator("[data-testid=alias-history]");
        await Expect(history.Locator("tr:has-text('champion')")).ToContainTextAsync("now");
        await Expect(history.Locator("tr:has-text('champion')")).ToContainTextAsync(driven.Ids["approvals/id"][..8]);
        await Expect(history.Locator("tr:has-text('challenger')").First).Not.ToContainTextAsync("now");
        await Expect(page.Locator("[data-testid=alias-timeline] rect").First).ToBeVisibleAsync();
        await page.PicturesAsync("model-aliases");
    }

    private static ILocatorAssertions Expect(ILocator locator) => Assertions.Expect(locator);

    private static IPageAssertions Expect(IPage page) => Assertions.Expect(page);

    private static async Task<string> ExperimentAsync(TestTenant tenant, string name) => (await MlflowAsync(tenant, "experiments/create", new { name })).GetProperty("experiment_id").GetString()!;

    private static async Task<string> RunAsync(TestTenant tenant, string experiment, string name, (string Key, string Value)[] parameters, (string Key, double[] Values)[] metrics, params (string Key, string Value)[] tags)
    {
        var run = (await MlflowAsync(tenant, "runs/create", new { experiment_id = experiment, run_name = name, user_id = "ada", start_time = 1_795_000_000_000, tags = tags.Select(t => new { key = t.Key, value = t.Value }) })).GetProperty("run").GetProperty("info").GetProperty("run_id").GetString()!;
        await MlflowAsync(tenant, "runs/log-batch", new
        {
            run_id = run,
            @params = parameters.Select(p => new { key = p.Key, value = p.Value }),
            metrics = metrics.SelectMany(m => m.Values.Select((value, step) => new { key = m.Key, value, timestamp = 1_795_000_000_000 + step, step })),
        });
        await MlflowAsync(tenant, "runs/update", new { run_id = run, status = "FINISHED", end_time = 1_795_000_083_000 });
        return run;
    }

    private static async Task<JsonElement> MlflowAsync(TestTenant tenant, string path, object body) => await (await tenant.Developer.PostAsJsonAsync($"mlflow/api/2.0/mlflow/{path}", body)).ShouldBeAsync(200);
}
