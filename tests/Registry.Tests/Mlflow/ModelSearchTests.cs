using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Platform.Testing;
using Registry.Tests.Models;

namespace Registry.Tests.Mlflow;

public sealed class ModelSearchTests
{
    [Fact]
    public async Task Models_are_found_by_name_and_tags_as_the_language_has_it()
    {
        var tenant = await TestTenant.NewAsync();
        await NewAsync(tenant, "price", ("team", "red"), ("Data.Set", "v1"));
        await NewAsync(tenant, "Price 2", ("team", "Red"), ("note", "50%_off\\"));
        await NewAsync(tenant, "müller", ("team", "RÉD"), ("mlflow.prompt.is_prompt", "true"));
        await NewAsync(tenant, "o'brien", ("long", new string('z', 300) + "1"));
        await NewAsync(tenant, "rent", ("long", new string('z', 300) + "2"));
        foreach (var (filter, expected) in new[]
        {
            ("", "Price 2, müller, o'brien, price, rent"),
            ("name = 'price'", "price"),
            ("name != 'price'", "Price 2, müller, o'brien, rent"),
            ("name LIKE 'p%'", "price"),
            ("name ILIKE 'P%'", "Price 2, price"),
            ("name ILIKE 'MÜLL_R'", "müller"),
            ("name = 'o''brien'", "o'brien"),
            ("attributes.name IN ('rent', 'nothing')", "rent"),
            ("name NOT IN ('rent', 'price')", "Price 2, müller, o'brien"),
            ("tags.team = 'red'", "price"),
            ("tag.team ILIKE 'RED'", "Price 2, price"),
            ("tags.team ILIKE 'réd'", "müller"),
            ("tags.team != 'red'", "Price 2, müller"),
            ("tags.team IS NULL", "o'brien, rent"),
            ("tags.team IS NOT NULL and name LIKE '%2'", "Price 2"),
            ("tags.Data.Set = 'v1'", "price"),
            ("tags.`Data.Set` LIKE 'v_'", "price"),
            ("tags.data.set = 'v1'", ""),
            ("tags.note LIKE '50%\\'", "Price 2"),
            ("tags.`mlflow.prompt.is_prompt` != 'true'", "Price 2, o'brien, price, rent"),
            ($"tags.long = '{new string('z', 300)}2'", "rent"),
            ($"tags.long LIKE '{new string('z', 250)}%'", "o'brien, rent"),
            // What would end the text or the statement is a text like any other.
            ("name = '''; drop table registry.searched_models; --'", ""),
            ("tags.`x'; select 1; --` = 'a'", ""),
            ("tags.\"$1\" LIKE '$2%'", ""),
        })
        {
            var found = await tenant.Viewer.OkAsync("GET", $"registered-models/search?filter={Uri.EscapeDataString(filter)}");
            string.Join(", ", Names(found)).ShouldBe(expected, filter);
            var listed = await (await tenant.Viewer.GetAsync($"{TestModels.Models}?filter={Uri.EscapeDataString(filter)}")).ShouldBeAsync(200);
            string.Join(", ", listed.EnumerateArray().Select(m => m.GetProperty("name").GetString())).ShouldBe(expected, filter);
        }

        // What has an order in one alphabet has another in the next: a text is greater than none.
        foreach (var filter in new[] { "name = 5", "name", "owner = 'a'", "name = 'a' OR name = 'b'", "metrics.a > 1", "name = 'a", "name > 'o'", "name <= 'o'", "tags.team >= 'a'", "tags.team < 'a'", "tags.team IN ('red')" })
        {
            await tenant.Viewer.RefusesAsync("GET", $"registered-models/search?filter={Uri.EscapeDataString(filter)}", null, 400, "INVALID_PARAMETER_VALUE");
            await (await tenant.Viewer.GetAsync($"{TestModels.Models}?filter={Uri.EscapeDataString(filter)}")).ShouldRefuseAsync(400, "bad-filter");
        }
    }

    [Fact]
    public async Task Pages_of_models_in_any_order_are_complete_and_repeat_nothing()
    {
        var tenant = await TestTenant.NewAsync();
        for (var i = 0; i < 11; i++) await NewAsync(tenant, $"m{i:00}", ("half", $"{i % 2}"));
        foreach (var (filter, order) in new[] { ("", ""), ("", "name DESC"), ("", "last_updated_timestamp DESC"), ("", "timestamp ASC"), ("tags.half = '1'", "name ASC"), ("tags.half = '0'", "last_updated_timestamp ASC") })
        {
            var address = $"registered-models/search?filter={Uri.EscapeDataString(filter)}{(order.Length > 0 ? $"&order_by={Uri.EscapeDataString(order)}" : "")}";
            var all = Names(await tenant.Viewer.OkAsync("GET", address)).ToArray();
            all.Length.ShouldBe(filter.Length == 0 ? 11 : filter.Contains('1') ? 5 : 6);
            string.Join(", ", await PagesAsync(tenant, address, 3, Names)).ShouldBe(string.Join(", ", all), $"{filter} by {order}");
        }

        List<string> listed = [];
        while (true)
        {
            var page = await (await tenant.Viewer.GetAsync($"{TestModels.Models}?limit=4&filter=name%20LIKE%20'm%25'&after={listed.LastOrDefault()}")).ShouldBeAsync(200);
            listed.AddRange(page.EnumerateArray().Select(m => m.GetProperty("name").GetString()!));
            if (page.GetArrayLength() < 4) break;
        }

        listed.ShouldBe(Enumerable.Range(0, 11).Select(i => $"m{i:00}"));
        (await tenant.Viewer.GetAsync($"{TestModels.Models}?limit=0")).StatusCode.ShouldBe(HttpStatusCode.BadRequest);

        // A token by count is taken from callers that make up their own, and nonsense is refused.
        Names(await tenant.Viewer.OkAsync("GET", "registered-models/search?max_results=2&page_token=eyJvZmZzZXQiOiA1fQ==")).ShouldBe(["m05", "m06"]);
        foreach (var token in new[] { "nonsense", "e30=", "W10=", "WzVd", "eyJvZmZzZXQiOiAwfQ==" })
        {
            await tenant.Viewer.RefusesAsync("GET", $"registered-models/search?page_token={token}", null, 400, "INVALID_PARAMETER_VALUE");
        }
    }

    [Fact]
    public async Task Versions_are_found_by_what_they_were_made_from_and_their_pages_are_complete()
    {
        var tenant = await TestTenant.NewAsync();
        foreach (var model in new[] { "a", "b" })
        {
            await NewAsync(tenant, model);
            for (var i = 1; i <= 5; i++)
            {
                await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = model, source = $"s3://bucket/{model}/{i % 2}", run_id = i == 5 ? null : $"run{i % 3}", tags = new[] { new { key = "odd", value = $"{i % 2}" } } });
            }
        }

        await tenant.Developer.OkAsync("DELETE", "model-versions/delete", new { name = "b", version = "5" });
        await tenant.Developer.OkAsync("POST", "model-versions/set-tag", new { name = "b", version = "1", key = "odd", value = "very" });
        await tenant.Developer.OkAsync("POST", "model-versions/set-tag", new { name = "b", version = "3", key = "best", value = "yes" });
        await tenant.Developer.OkAsync("DELETE", "model-versions/delete-tag", new { name = "b", version = "3", key = "best" });
        foreach (var (filter, expected) in new[]
        {
            ("name = 'a'", "a/1, a/2, a/3, a/4, a/5"), ("run_id = 'run1'", "a/1, a/4, b/1, b/4"), ("run_id IN ('run0', 'run2')", "a/2, a/3, b/2, b/3"), ("run_id != 'run1'", "a/2, a/3, b/2, b/3"),
            ("source_path LIKE 's3://bucket/b/%' and version_number >= 3", "b/3, b/4"), ("source_path = 's3://bucket/a/0'", "a/2, a/4"), ("version_number = 5", "a/5"), ("version_number = '5'", "a/5"), ("version_number >= '4'", "a/4, a/5, b/4"), ("run_id IN ('run0',)", "a/3, b/3"), ("version_number != 1 and name = 'b'", "b/2, b/3, b/4"),
            ("tags.odd = '1'", "a/1, a/3, a/5, b/3"), ("tags.odd = 'very'", "b/1"), ("tags.best IS NOT NULL", ""), ("tags.best IS NULL and name = 'b'", "b/1, b/2, b/3, b/4"),
        })
        {
            var found = await tenant.Viewer.OkAsync("GET", $"model-versions/search?filter={Uri.EscapeDataString(filter)}&order_by=name&order_by=version_number");
            string.Join(", ", Versions(found)).ShouldBe(expected, filter);
        }

        foreach (var (order, expected) in new[]
        {
            ("", null), ("&order_by=creation_timestamp", null), ("&order_by=last_updated_timestamp%20DESC&order_by=name", null),
            // Of one model the newest version comes first, unless versions are in an order of their own.
            ("&order_by=name", "a/5, a/4, a/3, a/2, a/1, b/4, b/3, b/2, b/1"), ("&order_by=name%20DESC", "b/4, b/3, b/2, b/1, a/5, a/4, a/3, a/2, a/1"),
            ("&order_by=version_number", "a/1, b/1, a/2, b/2, a/3, b/3, a/4, b/4, a/5"), ("&order_by=version_number%20DESC", "a/5, a/4, b/4, a/3, b/3, a/2, b/2, a/1, b/1"),
        })
        {
            var all = Versions(await tenant.Viewer.OkAsync("GET", $"model-versions/search?filter={order}")).ToArray();
            all.Length.ShouldBe(9);
            if (expected is not null) string.Join(", ", all).ShouldBe(expected);
            string.Join(", ", await PagesAsync(tenant, $"model-versions/search?filter={order}", 2, Versions)).ShouldBe(string.Join(", ", all), order);
        }

        // The version that was changed last comes first.
        Versions(await tenant.Viewer.OkAsync("GET", "model-versions/search?max_results=1")).ShouldBe(["b/3"]);
        foreach (var filter in new[] { "version_number = 'one'", "version_number LIKE '1'", "version_number IN ('1')", "run_id > 'run0'", "source_path <= 's'", "tags.odd > '0'" })
        {
            (await tenant.Viewer.RefusesAsync("GET", $"model-versions/search?filter={Uri.EscapeDataString(filter)}", null, 400, "INVALID_PARAMETER_VALUE")).ShouldContain("At character 1");
        }

        foreach (var address in new[] { "model-versions/search", "registered-models/search" })
        {
            (await tenant.Viewer.RefusesAsync("GET", $"{address}?order_by=tags.odd", null, 400, "INVALID_PARAMETER_VALUE")).ShouldStartWith("Invalid order by key 'tags.odd'");
        }

        await tenant.Developer.OkAsync("POST", "registered-models/rename", new { name = "b", new_name = "c" });
        Versions(await tenant.Viewer.OkAsync("GET", $"model-versions/search?filter={Uri.EscapeDataString("tags.odd = 'very'")}")).ShouldBe(["c/1"]);
        await tenant.Developer.OkAsync("DELETE", "registered-models/delete", new { name = "a" });
        Versions(await tenant.Viewer.OkAsync("GET", "model-versions/search?order_by=name")).ShouldBe(["c/4", "c/3", "c/2", "c/1"]);
    }

    [Fact]
    public async Task A_name_that_is_registered_anew_has_its_own_tags_and_another_tenants_models_are_never_found()
    {
        var (tenant, other) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await NewAsync(tenant, "m", ("k", "v"));
        await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = "m", source = "s3://b/m", tags = new[] { new { key = "k", value = "v" } } });
        foreach (var address in new[] { "registered-models/search", "model-versions/search" })
        {
            foreach (var filter in new[] { "", "name = 'm'", "tags.k = 'v'", "tags.k IS NOT NULL", "name ILIKE '%'" })
            {
                (await other.Admin.OkAsync("GET", $"{address}?filter={Uri.EscapeDataString(filter)}")).EnumerateObject().ShouldBeEmpty(filter);
                (await tenant.Viewer.OkAsync("GET", $"{address}?filter={Uri.EscapeDataString(filter)}")).EnumerateObject().ShouldHaveSingleItem();
            }
        }

        await tenant.Developer.OkAsync("DELETE", "registered-models/delete", new { name = "m" });
        (await tenant.Viewer.OkAsync("GET", "registered-models/search")).EnumerateObject().ShouldBeEmpty();
        await NewAsync(tenant, "m", ("k", "v"));
        Names(await tenant.Viewer.OkAsync("GET", $"registered-models/search?filter={Uri.EscapeDataString("tags.k = 'v'")}")).ShouldBe(["m"]);
        (await tenant.Developer.PutAsJsonAsync($"{TestModels.Models}/m/tags", new { tags = new Dictionary<string, string> { ["K"] = "w" } })).Dispose();
        Names(await tenant.Viewer.OkAsync("GET", $"registered-models/search?filter={Uri.EscapeDataString("tags.K IS NOT NULL")}")).ShouldBe(["m"]);
        Names(await tenant.Viewer.OkAsync("GET", $"registered-models/search?filter={Uri.EscapeDataString("tags.k IS NOT NULL")}")).ShouldBeEmpty();
    }

    private static Task<JsonElement> NewAsync(TestTenant tenant, string name, params (string Key, string Value)[] tags) =>
        tenant.Developer.OkAsync("POST", "registered-models/create", new { name, tags = tags.Select(t => new { key = t.Key, value = t.Value }) });

    private static async Task<List<string>> PagesAsync(TestTenant tenant, string address, int most, Func<JsonElement, IEnumerable<string>> of)
    {
        List<string> found = [];
        var token = "";
        do
        {
            var page = await tenant.Viewer.OkAsync("GET", $"{address}&max_results={most}&page_token={Uri.EscapeDataString(token)}");
            found.AddRange(of(page));
            token = page.TryGetProperty("next_page_token", out var next) ? next.GetString()! : "";
        }
        while (token.Length > 0);
        return found;
    }

    private static IEnumerable<string> Names(JsonElement found) => found.TryGetProperty("registered_models", out var models) ? models.EnumerateArray().Select(m => m.GetProperty("name").GetString()!) : [];

    private static IEnumerable<string> Versions(JsonElement found) => found.TryGetProperty("model_versions", out var versions)
        ? versions.EnumerateArray().Select(v => $"{v.GetProperty("name").GetString()}/{v.GetProperty("version").GetString()}") : [];
}
