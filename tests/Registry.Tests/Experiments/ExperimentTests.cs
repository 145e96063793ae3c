using System.Net.Http.Json;
using Platform.Testing;
using Registry.Tests.Mlflow;

namespace Registry.Tests.Experiments;

public sealed class ExperimentTests
{
    private const string Experiments = "api/v1/registry/experiments";

    [Fact]
    public async Task Experiments_are_created_found_by_a_part_of_their_name_and_counted()
    {
        var tenant = await TestTenant.NewAsync();
        var made = await (await tenant.Developer.PostAsJsonAsync(Experiments, new { name = "House prices" })).ShouldBeAsync(201);
        await (await tenant.Developer.PostAsJsonAsync(Experiments, new { name = "House prices" })).ShouldRefuseAsync(409, "experiment-exists");
        await (await tenant.Developer.PostAsJsonAsync(Experiments, new { name = "" })).ShouldRefuseAsync(400, "invalid-field");
        await (await tenant.Viewer.PostAsJsonAsync(Experiments, new { name = "x" })).ShouldRefuseAsync(403, "permission-missing");
        var id = made.GetProperty("id").GetInt64().ToString();
        await tenant.NewRunAsync(id, 1_000);
        var last = await tenant.NewRunAsync(id, 3_000);
        var gone = await tenant.NewRunAsync(id, 9_000);
        await tenant.Developer.OkAsync("POST", "runs/delete", new { run_id = gone });

        var found = (await (await tenant.Viewer.GetAsync($"{Experiments}?search=PRICE")).ShouldBeAsync(200)).EnumerateArray().Single();
        (found.GetProperty("id").GetInt64().ToString(), found.GetProperty("runs").GetInt64(), found.GetProperty("lastRunAt").GetDateTimeOffset().ToUnixTimeMilliseconds()).ShouldBe((id, 2, 3_000));
        (await (await tenant.Viewer.GetAsync($"{Experiments}?search=rents")).ShouldBeAsync(200)).GetArrayLength().ShouldBe(0);

        await tenant.Developer.OkAsync("POST", "runs/log-batch", new { run_id = last, metrics = new[] { new { key = "rmse", value = 1.0, timestamp = 1, step = 0 }, new { key = "mae", value = 1.0, timestamp = 1, step = 0 } }, @params = new[] { new { key = "lr", value = "1" } } });
        var one = await (await tenant.Viewer.GetAsync($"{Experiments}/{id}")).ShouldBeAsync(200);
        one.GetProperty("metrics").EnumerateArray().Select(k => k.GetString()).ShouldBe(["mae", "rmse"]);
        one.GetProperty("parameters").EnumerateArray().Select(k => k.GetString()).ShouldBe(["lr"]);
        one.GetProperty("tags").EnumerateArray().Select(k => k.GetString()).ShouldContain("mlflow.runName");
        await (await tenant.Viewer.GetAsync($"{Experiments}/77")).ShouldRefuseAsync(404, "no-such-experiment");

        var deleted = (await (await tenant.Viewer.GetAsync($"{Experiments}/{id}/runs?deleted=true")).ShouldBeAsync(200)).GetProperty("items").EnumerateArray().Single();
        deleted.GetProperty("id").GetString().ShouldBe(gone);
        await tenant.Developer.OkAsync("POST", "experiments/delete", new { experiment_id = id });
        (await (await tenant.Viewer.GetAsync($"{Experiments}?deleted=true")).ShouldBeAsync(200)).EnumerateArray().Single().GetProperty("deleted").GetBoolean().ShouldBeTrue();
    }

    [Theory]
    [InlineData("metrics.rmse < ", 16)]
    [InlineData("metrics.rmse < 1 or params.a = 'b'", 18)]
    [InlineData("params.a = 'b' and metric.b = 'x'", 20)]
    [InlineData("params.a = 'b' and colour = 'red'", 20)]
    [InlineData("params.a = b", 12)]
    public async Task A_mistake_in_a_filter_is_told_with_its_place(string filter, int character)
    {
        var tenant = await TestTenant.NewAsync();
        var problem = await (await tenant.Viewer.GetAsync($"{Experiments}/0/runs?filter={Uri.EscapeDataString(filter)}")).ShouldRefuseAsync(400, "bad-filter");
        problem.GetProperty("detail").GetString()!.ShouldEndWith($"(At character {character}.)");
    }

    [Fact]
    public async Task A_view_is_saved_under_a_name_replaced_listed_and_deleted_by_those_who_may()
    {
        var (tenant, stranger) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        var views = $"{Experiments}/{await tenant.NewExperimentAsync("viewed")}/views";
        await stranger.NewExperimentAsync("viewed");
        var best = $"{views}/{Uri.EscapeDataString("Best, by RMSE?")}";
        await (await tenant.Developer.PutAsJsonAsync(best, new { filter = "metrics.rmse < 9", orderBy = "metrics.rmse ASC", columns = new[] { "metrics.rmse", "params.a.b,c" } })).ShouldBeAsync(200);
        await (await tenant.Developer.PutAsJsonAsync(best, new { filter = "metrics.rmse < 5", orderBy = "metrics.`rmse` DESC", columns = new[] { "params.a.b,c" }, deleted = true })).ShouldBeAsync(200);

        var kept = (await (await tenant.Viewer.GetAsync(views)).ShouldBeAsync(200)).EnumerateArray().Single();
        (kept.GetProperty("name").GetString(), kept.GetProperty("filter").GetString(), kept.GetProperty("orderBy").GetString(), kept.GetProperty("deleted").GetBoolean()).ShouldBe(("Best, by RMSE?", "metrics.rmse < 5", "metrics.`rmse` DESC", true));
        kept.GetProperty("columns").EnumerateArray().Select(c => c.GetString()).ShouldBe(["params.a.b,c"]);

        await (await tenant.Viewer.PutAsJsonAsync(best, new { })).ShouldRefuseAsync(403, "permission-missing");
        await (await tenant.Viewer.DeleteAsync(best)).ShouldRefuseAsync(403, "permission-missing");
        (await (await tenant.Developer.PutAsJsonAsync(best, new { filter = "metrics.rmse <" })).ShouldRefuseAsync(400, "bad-filter")).GetProperty("detail").GetString()!.ShouldContain("character");
        await (await tenant.Developer.PutAsJsonAsync(best, new { orderBy = "sideways" })).ShouldRefuseAsync(400, "bad-order");
        await (await tenant.Developer.PutAsJsonAsync(best, new { columns = new[] { "moods.x" } })).ShouldRefuseAsync(400, "invalid-field");
        await (await tenant.Developer.PutAsJsonAsync($"{Experiments}/77/views/x", new { })).ShouldRefuseAsync(404, "no-such-experiment");
        (await (await stranger.Viewer.GetAsync(views)).ShouldBeAsync(200)).GetArrayLength().ShouldBe(0);
        await (await stranger.Developer.DeleteAsync(best)).ShouldRefuseAsync(404, "no-such-view");

        await (await tenant.Developer.DeleteAsync(best)).ShouldBeAsync(204);
        await (await tenant.Developer.DeleteAsync(best)).ShouldRefuseAsync(404, "no-such-view");
    }
}
