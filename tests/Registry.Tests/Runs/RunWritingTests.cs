using System.Net.Http.Json;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Platform.Registry.Tracking;
using Platform.Testing;
using Registry.Tests.Mlflow;

namespace Registry.Tests.Runs;

/// <summary>A run from its beginning to its end over the platform's own API.</summary>
public sealed class RunWritingTests
{
    private const string Experiments = "api/v1/registry/experiments", Runs = "api/v1/registry/runs";

    [Fact]
    public async Task A_run_is_begun_logged_into_ended_and_found_by_either_dialect()
    {
        var tenant = await TestTenant.NewAsync();
        var experiment = await tenant.NewExperimentAsync("rents");
        var whole = await BeginAsync(tenant, experiment, new { name = "sweep" });
        var run = await BeginAsync(tenant, experiment, new { parent = whole, tags = new Dictionary<string, string> { ["team"] = "north" } });
        await (await tenant.Developer.PostAsJsonAsync($"{Runs}/{run}/log", new
        {
            metrics = new object[] { new { key = "rmse", value = 3.5, step = 1 }, new { key = "rmse", value = 2.5, step = 2 } },
            parameters = new Dictionary<string, string> { ["trees"] = "200" },
            tags = new Dictionary<string, string> { ["note"] = "first" },
        })).ShouldBeAsync(204);
        await (await tenant.Developer.PostAsJsonAsync($"{Runs}/{run}/datasets", new { datasets = new[] { new { name = "sales", digest = "abc", context = "training" } } })).ShouldBeAsync(204);
        await (await tenant.Developer.PutAsync($"{Runs}/{run}/artifacts/notes/why.txt", new StringContent("because"))).ShouldBeAsync(200);
        var ended = await (await tenant.Developer.PatchAsJsonAsync($"{Runs}/{run}", new { status = "FINISHED", name = "deep", tags = new Dictionary<string, string?> { ["note"] = null, ["owner"] = "anna" } })).ShouldBeAsync(200);

        ended.GetProperty("status").GetString().ShouldBe("FINISHED");
        ended.GetProperty("endedAt").GetDateTimeOffset().ShouldBeGreaterThanOrEqualTo(ended.GetProperty("startedAt").GetDateTimeOffset());
        ended.GetProperty("metrics").GetProperty("rmse").GetDouble().ShouldBe(2.5);
        ended.GetProperty("parameters").GetProperty("trees").GetString().ShouldBe("200");
        ended.GetProperty("datasets").EnumerateArray().Single().GetProperty("context").GetString().ShouldBe("training");
        var tags = ended.GetProperty("tags");
        (tags.GetProperty("team").GetString(), tags.GetProperty("owner").GetString(), tags.TryGetProperty("note", out _), tags.GetProperty("mlflow.parentRunId").GetString()).ShouldBe(("north", "anna", false, whole));
        (await (await tenant.Viewer.GetAsync($"{Runs}/{run}/artifacts/notes/why.txt")).Content.ReadAsStringAsync()).ShouldBe("because");

        var other = await tenant.RunAsync(run);
        other.GetProperty("info").GetProperty("run_name").GetString().ShouldBe("deep");
        other.Of("metrics", "rmse")!.Value.GetProperty("step").GetInt64().ShouldBe(2);
    }

    [Fact]
    public async Task A_batch_with_one_mistake_writes_nothing_and_the_mistake_is_named()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await BeginAsync(tenant, "0", new { });
        await LogAsync(new { parameters = new Dictionary<string, string> { ["trees"] = "200" } }, 204);
        var differs = await (await tenant.Developer.PostAsJsonAsync($"{Runs}/{run}/log", new
        {
            metrics = new[] { new { key = "rmse", value = 1.0 } },
            parameters = new Dictionary<string, string> { ["trees"] = "300" },
            tags = new Dictionary<string, string> { ["t"] = "x" },
        })).ShouldRefuseAsync(409, "parameter-differs");
        differs.GetProperty("detail").GetString()!.ShouldContain("'200'");
        var after = await (await tenant.Viewer.GetAsync($"{Runs}/{run}")).ShouldBeAsync(200);
        after.GetProperty("metrics").EnumerateObject().ShouldBeEmpty();
        after.GetProperty("tags").TryGetProperty("t", out _).ShouldBeFalse();

        await RefusesAsync(new { metrics = new[] { new { key = "../x", value = 1.0 } } }, "metrics");
        await RefusesAsync(new { metrics = Enumerable.Range(0, 1_001).Select(i => new { key = $"m{i}", value = 1.0 }) }, "metrics");
        await RefusesAsync(new { parameters = new Dictionary<string, string> { ["long"] = new('x', 6_001) } }, "parameters");
        await RefusesAsync(new { tags = new Dictionary<string, string> { ["nul"] = "a\0b" } }, "tags");
        await (await tenant.Developer.PostAsync($"{Runs}/{run}/log", new StringContent("{\"metrics\":[{\"key\":\"m\",\"value\":\"much\"}]}", Encoding.UTF8, "application/json"))).ShouldBeAsync(400);

        async Task LogAsync(object body, int status) => await (await tenant.Developer.PostAsJsonAsync($"{Runs}/{run}/log", body)).ShouldBeAsync(status);

        async Task RefusesAsync(object body, string field) =>
            (await (await tenant.Developer.PostAsJsonAsync($"{Runs}/{run}/log", body)).ShouldRefuseAsync(400, "invalid-field")).GetProperty("field").GetString()!.ShouldStartWith(field);
    }

    [Fact]
    public async Task A_deleted_run_takes_nothing_until_it_is_restored()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await BeginAsync(tenant, "0", new { });
        await (await tenant.Developer.DeleteAsync($"{Runs}/{run}")).ShouldBeAsync(204);
        await (await tenant.Developer.PostAsJsonAsync($"{Runs}/{run}/log", new { tags = new Dictionary<string, string> { ["t"] = "x" } })).ShouldRefuseAsync(409, "run-deleted");
        await (await tenant.Developer.PatchAsJsonAsync($"{Runs}/{run}", new { status = "FAILED", tags = new Dictionary<string, string?> { ["mlflow.runName"] = null } })).ShouldRefuseAsync(409, "run-deleted");
        await (await tenant.Developer.PutAsync($"{Runs}/{run}/artifacts/a.txt", new StringContent("x"))).ShouldRefuseAsync(409, "run-deleted");
        (await (await tenant.Viewer.GetAsync($"{Runs}/{run}")).ShouldBeAsync(200)).GetProperty("tags").TryGetProperty("mlflow.runName", out _).ShouldBeTrue();
        await (await tenant.Developer.PostAsync($"{Runs}/{run}/restore", null)).ShouldBeAsync(204);
        await (await tenant.Developer.PostAsJsonAsync($"{Runs}/{run}/log", new { tags = new Dictionary<string, string> { ["t"] = "x" } })).ShouldBeAsync(204);
        await (await tenant.Developer.PutAsync($"{Runs}/{run}/artifacts/a.txt", new StringContent("x"))).ShouldBeAsync(200);
        await (await tenant.Developer.DeleteAsync($"{Runs}/{run}/artifacts/a.txt")).ShouldBeAsync(204);
        await (await tenant.Developer.DeleteAsync($"{Runs}/{run}/artifacts/a.txt")).ShouldRefuseAsync(404, "no-such-artifact");
    }

    [Fact]
    public async Task A_run_that_several_workers_begin_at_once_is_one_run()
    {
        var tenant = await TestTenant.NewAsync();
        var id = Guid.CreateVersion7();
        await tenant.App.Services.GetRequiredService<ExperimentStore>().FindAsync(tenant.Id, 0, default);
        var runs = tenant.App.Services.GetRequiredService<RunStore>();
        var begun = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => runs.CreateAsync(tenant.Id, 0, id, "once", "worker", 1, [new(RunStore.NameTag, "once")], default)));
        begun.ShouldAllBe(run => run.Value.Info.Id == id);
        (await (await tenant.Viewer.GetAsync($"{Experiments}/0/runs")).ShouldBeAsync(200)).GetProperty("items").GetArrayLength().ShouldBe(1);
    }

    [Fact]
    public async Task An_experiment_is_renamed_tagged_set_aside_and_taken_back()
    {
        var tenant = await TestTenant.NewAsync();
        var (first, second) = (await tenant.NewExperimentAsync("one"), await tenant.NewExperimentAsync("two"));
        var changed = await (await tenant.Developer.PatchAsJsonAsync($"{Experiments}/{first}", new { name = "uno", tags = new Dictionary<string, string?> { ["team"] = "north", ["gone"] = "x" } })).ShouldBeAsync(200);
        changed.GetProperty("name").GetString().ShouldBe("uno");
        changed = await (await tenant.Developer.PatchAsJsonAsync($"{Experiments}/{first}", new { tags = new Dictionary<string, string?> { ["gone"] = null } })).ShouldBeAsync(200);
        changed.GetProperty("tags").EnumerateObject().Select(t => t.Name).ShouldBe(["team"]);
        await (await tenant.Developer.PatchAsJsonAsync($"{Experiments}/{second}", new { name = "uno" })).ShouldRefuseAsync(409, "experiment-exists");
        await (await tenant.Developer.PatchAsJsonAsync($"{Experiments}/0", new { name = "mine" })).ShouldRefuseAsync(409, "default-experiment");

        await (await tenant.Developer.DeleteAsync($"{Experiments}/{first}")).ShouldBeAsync(204);
        await (await tenant.Developer.PostAsJsonAsync($"{Experiments}/{first}/runs", new { })).ShouldRefuseAsync(409, "experiment-deleted");
        await (await tenant.Developer.PatchAsJsonAsync($"{Experiments}/{first}", new { name = "eins" })).ShouldRefuseAsync(409, "experiment-deleted");
        await (await tenant.Developer.PatchAsJsonAsync($"{Experiments}/{first}", new { tags = new Dictionary<string, string?> { ["team"] = null } })).ShouldRefuseAsync(409, "experiment-deleted");
        await (await tenant.Developer.PostAsJsonAsync($"{Experiments}/77/runs", new { })).ShouldRefuseAsync(404, "no-such-experiment");
        await (await tenant.Developer.PatchAsJsonAsync($"{Experiments}/{second}", new { name = "uno" })).ShouldBeAsync(200);
        await (await tenant.Developer.PostAsync($"{Experiments}/{first}/restore", null)).ShouldRefuseAsync(409, "experiment-exists");
        await (await tenant.Developer.PatchAsJsonAsync($"{Experiments}/{second}", new { name = "two" })).ShouldBeAsync(200);
        await (await tenant.Developer.PostAsync($"{Experiments}/{first}/restore", null)).ShouldBeAsync(204);
    }

    private static async Task<string> BeginAsync(TestTenant tenant, string experiment, object body) =>
        (await (await tenant.Developer.PostAsJsonAsync($"{Experiments}/{experiment}/runs", body)).ShouldBeAsync(201)).GetProperty("id").GetString()!;
}
