using System.Net.Http.Json;
using System.Text.Json;
using MediatR;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using Platform.Features.Contracts;
using Platform.Kernel;
using Platform.Testing;

namespace Features.Tests.FeatureViews;

public sealed class FeatureViewTests
{
    private const string Visits =
        "house,visited_on,condition,note,rating,garden\n" +
        "H1,2024-03-01,new,latest,4.5,true\n" +
        "H2,2024-02-01,old,,3,false\n" +
        "H1,2024-01-01,fair,earlier,2,false\n" +
        "H2,,unknown,undated,1,true\n" +
        ",2024-05-01,lost,no key,1,true\n";

    [Fact]
    public async Task From_a_dataset_to_a_lookup_by_key()
    {
        var tenant = await TestTenant.NewAsync();
        var view = await MaterialisedAsync(tenant, "visits", Visits, "house", "visited_on");

        view.GetProperty("materialised").Number("keys").ShouldBe(2);
        view.GetProperty("materialised").Number("skipped").ShouldBe(1);
        view.GetProperty("features").EnumerateArray().Select(c => $"{c.Text("name")} {c.Text("type")}")
            .ShouldBe(["visited_on date", "condition text", "note text", "rating number", "garden boolean"]);

        var found = await LookUpAsync(tenant, "visits", "H2", "nowhere", "H1");
        found.GetProperty("rows").GetRawText().ShouldBe(
            """[{"key":"H2","values":{"visited_on":"2024-02-01","condition":"old","note":null,"rating":3,"garden":false}},""" +
            """{"key":"nowhere","values":null},""" +
            """{"key":"H1","values":{"visited_on":"2024-03-01","condition":"new","note":"latest","rating":4.5,"garden":true}}]""");
    }

    [Fact]
    public async Task Without_a_timestamp_the_last_row_of_a_key_counts()
    {
        var tenant = await TestTenant.NewAsync();
        await MaterialisedAsync(tenant, "visits", Visits, "house", timestampColumn: null, "note");

        var rows = (await LookUpAsync(tenant, "visits", "H1", "H2")).GetProperty("rows");

        rows.EnumerateArray().Select(r => r.GetProperty("values").Text("note")).ShouldBe(["earlier", "undated"]);
    }

    [Fact]
    public async Task The_prediction_path_reads_typed_values_from_memory_once_they_were_read()
    {
        var tenant = await TestTenant.NewAsync();
        await MaterialisedAsync(tenant, "visits", Visits, "house", "visited_on");
        var online = tenant.App.Services.GetRequiredService<IOnlineFeatures>();

        var rows = await online.ReadAsync(tenant.Id, "visits", ["H1", "nowhere", "H2", "H1"], CancellationToken.None);

        rows[1].ShouldBeNull();
        rows[0].ShouldBe(rows[3]);
        rows[0]!.ShouldBe(new Dictionary<string, object?> { ["visited_on"] = new DateOnly(2024, 3, 1), ["condition"] = "new", ["note"] = "latest", ["rating"] = 4.5, ["garden"] = true });
        rows[2]!["note"].ShouldBeNull();
        var again = online.ReadAsync(tenant.Id, "visits", ["H2", "H1"], CancellationToken.None);
        again.IsCompletedSuccessfully.ShouldBeTrue();
        (await again)[1].ShouldBe(rows[0]);
    }

    [Fact]
    public async Task Materialising_again_replaces_what_lookups_answer_also_from_memory()
    {
        var tenant = await TestTenant.NewAsync();
        await MaterialisedAsync(tenant, "houses", "id,price\nH1,1\nH2,2\n", "id");
        (await LookUpAsync(tenant, "houses", "H1", "H2")).Number("datasetVersion").ShouldBe(1);

        await tenant.HasDatasetAsync("houses", "id,price\nH1,100\nH3,300\n");
        await RunAsync(tenant, "houses", "succeeded");

        var rows = await Eventually.BecomesAsync("the new values", async () => (await LookUpAsync(tenant, "houses", "H1", "H2", "H3")).GetProperty("rows").GetRawText(), rows => rows.Contains("100"));
        rows.ShouldBe("""[{"key":"H1","values":{"price":100}},{"key":"H2","values":null},{"key":"H3","values":{"price":300}}]""");
    }

    [Fact]
    public async Task A_materialisation_that_cannot_be_made_says_why_and_the_old_values_still_answer()
    {
        var tenant = await TestTenant.NewAsync();
        await MaterialisedAsync(tenant, "houses", "id,price\nH1,1\n", "id");
        await tenant.HasDatasetAsync("houses", "id,cost\nH1,100\n");

        var failed = await RunAsync(tenant, "houses", "failed");

        failed.GetProperty("materialisation").GetProperty("failure").Text("detail").ShouldContain("'price'");
        (await LookUpAsync(tenant, "houses", "H1")).GetProperty("rows").GetRawText().ShouldBe("""[{"key":"H1","values":{"price":1}}]""");
    }

    [Fact]
    public async Task A_view_that_was_not_materialised_cannot_be_looked_up_and_says_what_to_do()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.HasDatasetAsync("houses", "id,price\nH1,1\n");
        await CreateAsync(tenant, "houses", "houses", "id");

        var problem = await (await tenant.Developer.PostAsJsonAsync("api/v1/features/feature-views/houses/lookup", new { keys = new[] { "H1" } })).ShouldRefuseAsync(409, "not-materialised");

        problem.Text("mend").ShouldContain("materialise");
        await Should.ThrowAsync<KeyNotFoundException>(async () => await tenant.App.Services.GetRequiredService<IOnlineFeatures>().ReadAsync(tenant.Id, "houses", ["H1"], CancellationToken.None));
    }

    [Theory]
    [InlineData("""{"name":"v","entity":"house","dataset":"houses","keyColumn":"nr"}""", 400, "unknown-column", "keyColumn")]
    [InlineData("""{"name":"v","entity":"house","dataset":"houses","keyColumn":"area"}""", 400, "unfit-key", "keyColumn")]
    [InlineData("""{"name":"v","entity":"house","dataset":"houses","keyColumn":"id","features":["price","colour"]}""", 400, "unknown-column", "features")]
    [InlineData("""{"name":"v","entity":"house","dataset":"houses","keyColumn":"id","features":[]}""", 400, "invalid-field", "features")]
    [InlineData("""{"name":"v","entity":"house","dataset":"houses","keyColumn":"id","features":["id"]}""", 400, "invalid-field", "features")]
    [InlineData("""{"name":"v","entity":"house","dataset":"houses","keyColumn":"id","features":["price","price"]}""", 400, "invalid-field", "features")]
    [InlineData("""{"name":"v","entity":"house","dataset":"houses","keyColumn":"id","timestampColumn":"price"}""", 400, "not-a-date", "timestampColumn")]
    [InlineData("""{"name":"v","entity":"horse","dataset":"houses","keyColumn":"id"}""", 404, "no-such-entity", "entity")]
    [InlineData("""{"name":"v","entity":"house","dataset":"horses","keyColumn":"id"}""", 404, "no-such-dataset", "dataset")]
    [InlineData("""{"name":"A view","entity":"house","dataset":"houses","keyColumn":"id"}""", 400, "invalid-field", "name")]
    [InlineData("""{"name":"v","entity":"house","dataset":"houses","keyColumn":"id","colour":"red"}""", 400, "unknown-field", "colour")]
    [InlineData("""{"name":"v","entity":"house","dataset":"houses","keyColumn":7}""", 400, "wrong-type", "keyColumn")]
    [InlineData("""{"name":"v",""", 400, "malformed-json", "body")]
    public async Task A_view_that_cannot_be_is_refused_with_the_field_and_the_mend(string body, int status, string code, string field)
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.HasDatasetAsync("houses", "id,area,price\nH1,1.5,1\n");
        await (await tenant.Developer.PostAsJsonAsync("api/v1/features/entities", new { name = "house" })).ShouldBeAsync(201);

        var answer = await tenant.Developer.PostAsync("api/v1/features/feature-views", new StringContent(body, new System.Net.Http.Headers.MediaTypeHeaderValue("application/json")));

        var problem = await answer.ShouldRefuseAsync(status, code);
        problem.Text("field").ShouldBe(field);
        problem.Text("mend").ShouldNotBeNullOrEmpty();
    }

    [Fact]
    public async Task Names_are_taken_once()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.HasDatasetAsync("houses", "id,price\nH1,1\n");
        await CreateAsync(tenant, "houses", "houses", "id");

        await (await tenant.Developer.PostAsJsonAsync("api/v1/features/entities", new { name = "thing" })).ShouldRefuseAsync(409, "entity-exists");
        await (await tenant.Developer.PostAsJsonAsync("api/v1/features/feature-views", new { name = "houses", entity = "thing", dataset = "houses", keyColumn = "id" })).ShouldRefuseAsync(409, "feature-view-exists");
        (await tenant.Viewer.GetJsonAsync("api/v1/features/entities"))[0].Text("name").ShouldBe("thing");
        (await tenant.Viewer.GetJsonAsync("api/v1/features/feature-views"))[0].Text("name").ShouldBe("houses");
    }

    [Fact]
    public async Task A_dataset_that_a_view_is_made_of_can_be_deleted_after_the_view()
    {
        var tenant = await TestTenant.NewAsync();
        await MaterialisedAsync(tenant, "houses", "id,price\nH1,1\n", "id");
        (await (await tenant.Developer.DeleteAsync("api/v1/features/datasets/houses")).ShouldRefuseAsync(409, "dataset-in-use")).Text("detail").ShouldContain("houses");

        await (await tenant.Developer.DeleteAsync("api/v1/features/feature-views/houses")).ShouldBeAsync(204);

        await (await tenant.Developer.DeleteAsync("api/v1/features/datasets/houses")).ShouldBeAsync(204);
        await (await tenant.Developer.GetAsync("api/v1/features/feature-views/houses")).ShouldRefuseAsync(404, "no-such-feature-view");
        await (await tenant.Developer.PostAsJsonAsync("api/v1/features/feature-views/houses/lookup", new { keys = new[] { "H1" } })).ShouldRefuseAsync(404, "no-such-feature-view");
        (await CountAsync(tenant, tenant.Id)).ShouldBe(0);
    }

    [Fact]
    public async Task A_deleted_views_name_can_be_used_again_and_begins_empty()
    {
        var tenant = await TestTenant.NewAsync();
        await MaterialisedAsync(tenant, "houses", "id,price,size\nH1,1,2\n", "id");
        await (await tenant.Developer.DeleteAsync("api/v1/features/feature-views/houses")).ShouldBeAsync(204);

        var again = await (await tenant.Developer.PostAsJsonAsync("api/v1/features/feature-views", new { name = "houses", entity = "thing", dataset = "houses", keyColumn = "id", features = new[] { "size" } })).ShouldBeAsync(201);

        again.GetProperty("materialised").ValueKind.ShouldBe(JsonValueKind.Null);
        await RunAsync(tenant, "houses", "succeeded");
        (await LookUpAsync(tenant, "houses", "H1")).GetProperty("rows").GetRawText().ShouldBe("""[{"key":"H1","values":{"size":2}}]""");
    }

    [Fact]
    public async Task Another_tenants_view_is_not_there_and_its_values_cannot_be_read_even_with_sql()
    {
        var (mine, theirs) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await MaterialisedAsync(theirs, "houses", "id,price\nH1,1\n", "id");

        await (await mine.Admin.GetAsync("api/v1/features/feature-views/houses")).ShouldRefuseAsync(404, "no-such-feature-view");
        await (await mine.Admin.PostAsync("api/v1/features/feature-views/houses/materialise", null)).ShouldRefuseAsync(404, "no-such-feature-view");
        await (await mine.Admin.DeleteAsync("api/v1/features/feature-views/houses")).ShouldRefuseAsync(404, "no-such-feature-view");
        await Should.ThrowAsync<KeyNotFoundException>(async () => await mine.App.Services.GetRequiredService<IOnlineFeatures>().ReadAsync(mine.Id, "houses", ["H1"], CancellationToken.None));
        (await CountAsync(theirs, theirs.Id)).ShouldBe(1);
        (await CountAsync(theirs, mine.Id)).ShouldBe(0);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1_001)]
    public async Task Lookups_take_a_sensible_number_of_keys(int keys)
    {
        var tenant = await TestTenant.NewAsync();
        await MaterialisedAsync(tenant, "houses", "id,price\nH1,1\n", "id");

        var answer = await tenant.Developer.PostAsJsonAsync("api/v1/features/feature-views/houses/lookup", new { keys = Enumerable.Repeat("H1", keys) });

        (await answer.ShouldRefuseAsync(400, "invalid-field")).Text("field").ShouldBe("keys");
    }

    [Fact]
    public async Task Other_modules_are_told_what_views_offer()
    {
        var tenant = await TestTenant.NewAsync();
        await MaterialisedAsync(tenant, "houses", "id,price,size\nH1,1,2\n", "id", timestampColumn: null, "size");
        await CreateAsync(tenant, "later", "houses", "id");
        await using var scope = tenant.App.Services.CreateAsyncScope();
        scope.ServiceProvider.GetRequiredService<CallerScope>().Begin(Caller.System(tenant.Id));

        var described = await scope.ServiceProvider.GetRequiredService<IMediator>().Send(new DescribeFeatureViews(["houses", "later", "nowhere"]));

        described.OrderBy(d => d.Name).Select(d => $"{d.Name} of {d.Entity} by {d.KeyColumn}: {string.Join(", ", d.Features.Select(f => $"{f.Name} {f.Type}"))}; {d.Materialised}")
            .ShouldBe(["houses of thing by id: size Integer; True", "later of thing by id: price Integer, size Integer; False"]);
    }

    [Fact]
    public async Task A_key_too_long_for_the_store_is_skipped_and_the_others_are_kept()
    {
        var tenant = await TestTenant.NewAsync();

        var view = await MaterialisedAsync(tenant, "houses", $"id,price\n{new string('ö', 500)},1\n{new string('x', 501)},2\nH1,3\n", "id");

        (view.GetProperty("materialised").Number("keys"), view.GetProperty("materialised").Number("skipped")).ShouldBe((2, 1));
    }

    [Fact]
    public async Task A_job_runs_on_the_platform_it_was_asked_of_when_another_one_in_the_process_has_ended()
    {
        var tenant = await TestTenant.NewAsync();
        await using (await PlatformApp.StartOwnAsync(new Dictionary<string, string>()))
        {
        }

        try { (await MaterialisedAsync(tenant, "houses", "id,price\nH1,1\n", "id")).GetProperty("materialised").Number("keys").ShouldBe(1); }
        catch
        {
            await using var c = new NpgsqlConnection(tenant.App.OwnerConnectionString); await c.OpenAsync();
            foreach (var q in new[] { "select id::text||' '||statename||' '||left(invocationdata::text,300) from jobs.job", "select jobid::text||' '||name||' '||coalesce(reason,'')||' '||left(data::text,600) from jobs.state order by id", "select queue||' '||jobid::text||' '||coalesce(fetchedat::text,'-') from jobs.jobqueue", "select id::text||' '||data::text from jobs.server" })
            { Console.WriteLine("== " + q); await using var k = new NpgsqlCommand(q, c); await using var r = await k.ExecuteReaderAsync(); while (await r.ReadAsync()) Console.WriteLine(r.IsDBNull(0) ? "null" : r.GetString(0)); }
            throw;
        }
    }

    private static async Task<JsonElement> MaterialisedAsync(TestTenant tenant, string name, string csv, string keyColumn, string? timestampColumn = null, params string[] features)
    {
        await tenant.HasDatasetAsync(name, csv);
        await CreateAsync(tenant, name, name, keyColumn, timestampColumn, features);
        return await RunAsync(tenant, name, "succeeded");
    }

    private static async Task CreateAsync(TestTenant tenant, string name, string dataset, string keyColumn, string? timestampColumn = null, params string[] features)
    {
        using var entity = await tenant.Developer.PostAsJsonAsync("api/v1/features/entities", new { name = "thing", description = "What is looked up" });
        await (await tenant.Developer.PostAsJsonAsync("api/v1/features/feature-views",
            new { name, entity = "thing", dataset, keyColumn, timestampColumn, features = features.Length == 0 ? null : features })).ShouldBeAsync(201);
    }

    private static async Task<JsonElement> RunAsync(TestTenant tenant, string view, string status)
    {
        await (await tenant.Developer.PostAsync($"api/v1/features/feature-views/{view}/materialise", null)).ShouldBeAsync(202);
        return await Eventually.BecomesAsync($"the materialisation of {view}", () => tenant.Viewer.GetJsonAsync($"api/v1/features/feature-views/{view}"),
            seen => seen.GetProperty("materialisation").Text("status") == status);
    }

    private static async Task<JsonElement> LookUpAsync(TestTenant tenant, string view, params string[] keys) =>
        await (await tenant.Viewer.PostAsJsonAsync($"api/v1/features/feature-views/{view}/lookup", new { keys })).ShouldBeAsync(200);

    /// <summary>Counts the online rows that the application's role sees while it is bound to a tenant.</summary>
    private static async Task<long> CountAsync(TestTenant tenant, string boundTo)
    {
        await using var connection = new NpgsqlConnection(tenant.App.OwnerConnectionString);
        await connection.OpenAsync();
        await using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new("set local role platform_app"),
                new("select set_config('app.tenant_id', $1, true)") { Parameters = { new() { Value = boundTo } } },
                new("select count(*) from features.online where tenant_id = $1") { Parameters = { new() { Value = tenant.Id } } },
            },
        };
        await using var reader = await batch.ExecuteReaderAsync();
        while (reader.FieldCount == 0 || reader.GetName(0) != "count") await reader.NextResultAsync();
        await reader.ReadAsync();
        return reader.GetInt64(0);
    }
}
