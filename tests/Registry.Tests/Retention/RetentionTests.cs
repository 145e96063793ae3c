using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using Platform.Kernel;
using Platform.Registry.Retention;
using Platform.Registry.Tracking;
using Platform.Registry.Webhooks;
using Platform.Testing;
using Registry.Tests.Mlflow;
using Registry.Tests.Models;

namespace Registry.Tests.Retention;

public sealed class RetentionTests
{
    private const string Retention = "api/v1/registry/retention";

    [Fact]
    public async Task A_deleted_run_is_there_for_its_days_and_then_gone_with_everything_of_it()
    {
        var tenant = await TestTenant.NewAsync();
        var experiment = await tenant.NewExperimentAsync();
        var (kept, gone) = (await FullRunAsync(tenant, experiment), await FullRunAsync(tenant, experiment));
        await tenant.Developer.OkAsync("POST", "runs/delete", new { run_id = gone });
        var clock = new StoppedClock();

        clock.Now += TimeSpan.FromDays(29);
        (await LookAsync(tenant, clock)).Runs.ShouldBe(0);
        await tenant.Developer.OkAsync("POST", "runs/restore", new { run_id = gone });
        clock.Now += TimeSpan.FromDays(2);
        (await LookAsync(tenant, clock)).Runs.ShouldBe(0);

        await tenant.Developer.OkAsync("POST", "runs/delete", new { run_id = gone });
        var report = await LookAsync(tenant, clock, days: 31);
        (report.Runs, report.Artifacts).ShouldBe((1L, 2L));
        await tenant.Viewer.RefusesAsync("GET", $"runs/get?run_id={gone}", null, 404, "RESOURCE_DOES_NOT_EXIST");
        await tenant.Developer.RefusesAsync("POST", "runs/restore", new { run_id = gone }, 404, "RESOURCE_DOES_NOT_EXIST");
        (await RowsAsync(tenant, Guid.Parse(gone))).ShouldBe(0);
        await (await tenant.Viewer.GetAsync($"{TestMlflow.Files}/{experiment}/{gone}/artifacts/a.txt")).ShouldBeAsync(404);
        (await tenant.Viewer.GetStringAsync($"{TestMlflow.Files}/{experiment}/{kept}/artifacts/a.txt")).ShouldBe($"of {kept}");
        (await RowsAsync(tenant, Guid.Parse(kept))).ShouldBeGreaterThan(5);

        var shown = (await (await tenant.Viewer.GetAsync(Retention)).ShouldBeAsync(200)).GetProperty("lastRun");
        (shown.GetProperty("runs").GetInt64(), shown.GetProperty("failure").ValueKind).ShouldBe((1L, JsonValueKind.Null));
    }

    [Fact]
    public async Task A_deleted_experiment_refuses_writes_to_its_runs_goes_with_them_unless_it_is_held_and_its_number_is_not_used_again()
    {
        var tenant = await TestTenant.NewAsync();
        var (held, gone) = (await tenant.NewExperimentAsync("held"), await tenant.NewExperimentAsync("gone"));
        var (heldRun, goneRun) = (await FullRunAsync(tenant, held), await FullRunAsync(tenant, gone));
        await (await tenant.Developer.PutAsJsonAsync($"{Retention}/holds/experiment/{held}", new { reason = "x" })).ShouldBeAsync(403);
        await (await tenant.Admin.PutAsJsonAsync($"{Retention}/holds/experiment/{held}", new { reason = "the case of Smith" })).ShouldBeAsync(200);
        await (await tenant.Admin.PutAsJsonAsync($"{Retention}/holds/experiment/999", new { reason = "x" })).ShouldRefuseAsync(404, "no-such-experiment");
        foreach (var id in new[] { held, gone }) await tenant.Developer.OkAsync("POST", "experiments/delete", new { experiment_id = id });

        foreach (var (path, body) in new (string, object)[]
        {
            ("runs/log-metric", new { run_id = goneRun, key = "m", value = 1, timestamp = 1 }), ("runs/log-parameter", new { run_id = goneRun, key = "new", value = "1" }),
            ("runs/set-tag", new { run_id = goneRun, key = "t", value = "1" }), ("runs/delete-tag", new { run_id = goneRun, key = "t" }), ("runs/update", new { run_id = goneRun, status = "FINISHED" }),
            ("runs/log-batch", new { run_id = goneRun, tags = new[] { new { key = "t", value = "1" } } }),
        })
        {
            (await tenant.Developer.RefusesAsync("POST", path, body, 400, "INVALID_PARAMETER_VALUE")).ShouldContain("must be in the 'active' state");
        }

        var clock = new StoppedClock();
        var report = await LookAsync(tenant, clock, days: 31);
        (report.Experiments, report.Runs).ShouldBe((1L, 1L));
        await tenant.Viewer.RefusesAsync("GET", $"experiments/get?experiment_id={gone}", null, 404, "RESOURCE_DOES_NOT_EXIST");
        (await tenant.Viewer.OkAsync("GET", $"runs/get?run_id={heldRun}")).GetProperty("run").GetProperty("data").GetProperty("params").GetArrayLength().ShouldBe(1);
        (await tenant.NewExperimentAsync("gone")).ShouldBe((long.Parse(gone) + 1).ToString());

        await (await tenant.Admin.DeleteAsync($"{Retention}/holds/experiment/{held}")).ShouldBeAsync(204);
        (await LookAsync(tenant, clock, days: 31)).Experiments.ShouldBe(1);
    }

    [Fact]
    public async Task An_administrator_purges_at_once_what_is_deleted_and_nothing_is_purged_by_itself_where_so_it_was_set()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await FullRunAsync(tenant, "0");
        await tenant.Developer.OkAsync("POST", "runs/delete", new { run_id = run });
        await (await tenant.Admin.PutAsJsonAsync(Retention, new { purgeAfterDays = (int?)null, graceHours = 0 })).ShouldRefuseAsync(400, "out-of-range");
        await (await tenant.Admin.PutAsJsonAsync(Retention, new { purgeAfterDays = (int?)null, graceHours = 48 })).ShouldBeAsync(200);
        (await LookAsync(tenant, new StoppedClock(), days: 3_000)).Runs.ShouldBe(0);

        await (await tenant.Developer.PostAsync($"{Retention}/purge", null)).ShouldBeAsync(403);
        var asked = (await (await tenant.Admin.PostAsync($"{Retention}/purge", null)).ShouldBeAsync(202)).GetProperty("run").GetGuid();
        var done = await Eventually.BecomesAsync("the purge",
            async () => (await (await tenant.Admin.GetAsync(Retention)).ShouldBeAsync(200)).GetProperty("runs").EnumerateArray().SingleOrDefault(r => r.GetProperty("id").GetGuid() == asked),
            r => r.ValueKind is JsonValueKind.Object && r.GetProperty("endedAt").ValueKind is JsonValueKind.String);
        done.GetProperty("runs").GetInt64().ShouldBe(1);
        await tenant.Viewer.RefusesAsync("GET", $"runs/get?run_id={run}", null, 404, "RESOURCE_DOES_NOT_EXIST");
    }

    [Fact]
    public async Task Every_tenant_is_looked_at_in_a_job_of_its_own()
    {
        await using var app = await PlatformApp.StartOwnAsync(new Dictionary<string, string>());
        TestTenant[] tenants = [await TestTenant.NewAsync(app), await TestTenant.NewAsync(app)];
        await using (var scope = app.Services.CreateAsyncScope())
        {
            scope.ServiceProvider.GetRequiredService<CallerScope>().Begin(Caller.System(Caller.PlatformTenant));
            await ActivatorUtilities.CreateInstance<RetentionOfAll>(scope.ServiceProvider).RunAsync(new(), default);
        }

        foreach (var tenant in tenants)
        {
            var last = await Eventually.BecomesAsync("the look", async () => (await (await tenant.Viewer.GetAsync(Retention)).ShouldBeAsync(200)).GetProperty("lastRun"),
                run => run.ValueKind is JsonValueKind.Object && run.GetProperty("endedAt").ValueKind is JsonValueKind.String);
            last.GetProperty("askedBy").ValueKind.ShouldBe(JsonValueKind.Null);
        }
    }

    [Fact]
    public async Task Content_goes_a_grace_period_after_the_last_name_of_it_and_bytes_are_counted()
    {
        var tenant = await TestTenant.NewAsync();
        foreach (var path in new[] { "0/r/artifacts/a", "0/r/artifacts/same" }) await (await tenant.Developer.PutFileAsync(path, new string('x', 100_000))).ShouldBeAsync(200);
        await (await tenant.Developer.PutFileAsync("0/r/artifacts/other", "other")).ShouldBeAsync(200);
        var clock = new StoppedClock();
        clock.Now += TimeSpan.FromMinutes(1);
        (await LookAsync(tenant, clock)).BlobsWaiting.ShouldBe(0);
        await (await tenant.Developer.DeleteAsync($"{TestMlflow.Files}/0/r/artifacts/a")).ShouldBeAsync(200);
        (await LookAsync(tenant, clock, hours: 48)).BlobsWaiting.ShouldBe(0);
        await (await tenant.Developer.DeleteAsync($"{TestMlflow.Files}/0/r/artifacts/same")).ShouldBeAsync(200);
        (await LookAsync(tenant, clock)).BlobsWaiting.ShouldBe(1);
        (await LookAsync(tenant, clock, hours: 23)).Blobs.ShouldBe(0);
        Files(tenant).Length.ShouldBe(2);
        var report = await LookAsync(tenant, clock, hours: 1);
        report.Blobs.ShouldBe(1);
        report.BytesFreed.ShouldBeGreaterThan(100_000);
        Files(tenant).ShouldHaveSingleItem();
        (await tenant.Viewer.GetStringAsync($"{TestMlflow.Files}/0/r/artifacts/other")).ShouldBe("other");
    }

    [Fact]
    public async Task What_versions_their_composites_and_registered_copies_are_made_of_is_kept_until_the_last_of_them_is_deleted()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterWithVersionAsync("base");
        await tenant.RegisterAsync("mix");
        var composite = await tenant.Developer.PostAsJsonAsync("api/v1/registry/models/mix/composite-versions", new { kind = "weighted-mean", members = new[] { new { model = "base", version = 1, weight = 1.0 }, new { model = "base", version = 1, weight = 1.0 } } });
        await composite.ShouldBeAsync(201);
        var clock = new StoppedClock();
        var needed = Files(tenant).Length - 1;
        await tenant.Developer.OkAsync("DELETE", "model-versions/delete", new { name = "base", version = "1" });
        await LookAsync(tenant, clock, hours: 1);
        // Its example goes with the version; its file is the composite's.
        (await LookAsync(tenant, clock, hours: 48)).Blobs.ShouldBe(1);
        Files(tenant).Length.ShouldBe(needed);

        await (await tenant.Admin.PutAsJsonAsync($"{Retention}/holds/model/mix", new { reason = "audit" })).ShouldBeAsync(200);
        (await tenant.Developer.RefusesAsync("DELETE", "registered-models/delete", new { name = "mix" }, 409, "RESOURCE_CONFLICT")).ShouldContain("legal hold: audit");
        await tenant.Developer.RefusesAsync("DELETE", "model-versions/delete", new { name = "mix", version = "1" }, 409, "RESOURCE_CONFLICT");
        await (await tenant.Admin.DeleteAsync($"{Retention}/holds/model/mix")).ShouldBeAsync(204);
        await tenant.Developer.OkAsync("DELETE", "registered-models/delete", new { name = "mix" });
        (await LookAsync(tenant, clock)).BlobsWaiting.ShouldBe(needed);
        (await LookAsync(tenant, clock, hours: 25)).Blobs.ShouldBe(needed);
        Files(tenant).ShouldBeEmpty();
    }

    [Fact]
    public async Task The_files_of_a_registered_version_outlive_the_run_they_came_from_and_go_after_the_version()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        await (await tenant.Developer.PutFileAsync($"0/{run}/artifacts/model/MLmodel", "flavors: {}")).ShouldBeAsync(200);
        await tenant.Developer.OkAsync("POST", "registered-models/create", new { name = "m" });
        foreach (var _ in new[] { 1, 2 }) await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = "m", source = $"runs:/{run}/model", run_id = run });
        await tenant.Developer.OkAsync("POST", "runs/delete", new { run_id = run });
        var clock = new StoppedClock();
        (await LookAsync(tenant, clock, days: 31)).Runs.ShouldBe(1);
        (await LookAsync(tenant, clock, days: 2)).Blobs.ShouldBe(0);
        var uri = (await tenant.Viewer.OkAsync("GET", "model-versions/get-download-uri?name=m&version=2")).GetProperty("artifact_uri").GetString()!["mlflow-artifacts:/".Length..];
        (await tenant.Viewer.GetStringAsync($"{TestMlflow.Files}/{uri}/MLmodel")).ShouldBe("flavors: {}");

        await tenant.Developer.OkAsync("DELETE", "model-versions/delete", new { name = "m", version = "1" });
        (await LookAsync(tenant, clock)).Artifacts.ShouldBe(1);
        (await tenant.Viewer.GetStringAsync($"{TestMlflow.Files}/{uri}/MLmodel")).ShouldBe("flavors: {}");
        await tenant.Developer.OkAsync("DELETE", "registered-models/delete", new { name = "m" });
        (await LookAsync(tenant, clock)).Artifacts.ShouldBe(1);
        (await LookAsync(tenant, clock, hours: 25)).Blobs.ShouldBe(1);
        Files(tenant).ShouldBeEmpty();
    }

    private static async Task<string> FullRunAsync(TestTenant tenant, string experiment)
    {
        var run = await tenant.NewRunAsync(experiment, tags: [new { key = "t", value = "1" }]);
        await tenant.Developer.OkAsync("POST", "runs/log-batch", new { run_id = run, metrics = new[] { new { key = "m", value = 1, timestamp = 1, step = 1 } }, @params = new[] { new { key = "p", value = "1" } } });
        await tenant.Developer.OkAsync("POST", "runs/log-inputs", new { run_id = run, datasets = new[] { new { dataset = new { name = "d", digest = "1", source_type = "local", source = "x" } } } });
        foreach (var file in new[] { "a.txt", "deep/b.txt" }) await (await tenant.Developer.PutFileAsync($"{experiment}/{run}/artifacts/{file}", $"of {run}")).ShouldBeAsync(200);
        return run;
    }

    /// <summary>The night's look, so much later by the clock.</summary>
    private static async Task<RetentionReport> LookAsync(TestTenant tenant, StoppedClock clock, int days = 0, int hours = 0)
    {
        clock.Now += TimeSpan.FromDays(days) + TimeSpan.FromHours(hours);
        await using var scope = tenant.App.Services.CreateAsyncScope();
        scope.ServiceProvider.GetRequiredService<CallerScope>().Begin(Caller.System(tenant.Id));
        var services = scope.ServiceProvider;
        var store = ActivatorUtilities.CreateInstance<RetentionStore>(services, clock);
        var run = ActivatorUtilities.CreateInstance<RetentionRun>(services, store, ActivatorUtilities.CreateInstance<Purge>(services, clock), ActivatorUtilities.CreateInstance<Uploads>(services, clock),
            tenant.App.CollectionAt(clock), ActivatorUtilities.CreateInstance<WebhookStore>(services, clock));
        var id = Guid.CreateVersion7();
        await run.RunAsync(new(id), default);
        return (await store.ReportsAsync(tenant.Id, default)).Single(r => r.Id == id);
    }

    private static async Task<long> RowsAsync(TestTenant tenant, Guid run)
    {
        await using var connection = new NpgsqlConnection(tenant.App.OwnerConnectionString);
        await connection.OpenAsync();
        string[] tables = ["runs", "run_params", "run_tags", "run_metrics", "metric_history", "run_inputs", "run_models"];
        await using var count = new NpgsqlCommand($"select {string.Join(" + ", tables.Select(t => $"(select count(*) from registry.{t} where tenant_id = $1 and run_id = $2)"))}", connection) { Parameters = { new() { Value = tenant.Id }, new() { Value = run } } };
        return (long)(await count.ExecuteScalarAsync())!;
    }

    private static string[] Files(TestTenant tenant) => Directory.GetFiles(Path.Combine(tenant.App.Data, "blobs", tenant.Id), "*", SearchOption.AllDirectories);
}
