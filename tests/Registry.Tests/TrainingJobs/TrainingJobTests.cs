using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Platform.Kernel;
using Platform.Registry.TrainingJobs;
using Platform.Testing;
using Registry.Tests.Models;
using Registry.Tests.Training;

namespace Registry.Tests.TrainingJobs;

public sealed class TrainingJobTests
{
    private const string Jobs = "api/v1/registry/training-jobs";

    [Fact]
    public async Task A_dataset_becomes_a_model_version_with_its_metrics_its_interval_its_log_and_where_it_came_from()
    {
        var tenant = await TestTenant.NewAsync();
        var dataset = await UploadAsync(tenant, SimulatedSales.Csv(1_200));

        var started = await (await StartAsync(tenant)).ShouldBeAsync(202);
        started.GetProperty("status").GetString().ShouldBe("queued");
        var job = await EndAsync(tenant, started);

        job.GetProperty("status").GetString().ShouldBe("succeeded", job.ToString());
        job.GetProperty("progress").GetDouble().ShouldBe(1);
        var version = await (await tenant.Viewer.GetAsync($"{TestModels.Models}/prices/versions/{job.GetProperty("version")}")).ShouldBeAsync(200);
        version.GetProperty("source").GetString().ShouldBe("training");
        version.GetProperty("author").GetString().ShouldBe(job.GetProperty("requestedBy").GetString());
        version.GetProperty("metrics").GetProperty("r2").GetDouble().ShouldBeGreaterThan(0.8);
        version.GetProperty("metrics").GetProperty("testRows").GetInt32().ShouldBe(240);
        version.GetProperty("calibration").GetProperty("level").GetDouble().ShouldBe(0.9);
        version.GetProperty("predictionOutput").GetString().ShouldBe("prediction");
        version.GetProperty("columns").EnumerateArray().Select(c => c.GetProperty("name").GetString()).ShouldContain("region");
        var training = version.GetProperty("training");
        training.GetProperty("job").GetGuid().ShouldBe(job.GetProperty("id").GetGuid());
        training.GetProperty("datasetSha256").GetString().ShouldBe(dataset.GetProperty("contentSha256").GetString());
        training.GetProperty("split").GetProperty("timeColumn").GetString().ShouldBe("sold");
        training.GetProperty("parity").GetProperty("rows").GetInt32().ShouldBe(2_000);
        (await tenant.Viewer.GetStringAsync($"{TestModels.Models}/prices/versions/1/log")).ShouldContain("Column 'sale_id' is left out");
        (await tenant.Viewer.GetByteArrayAsync($"{TestModels.Models}/prices/versions/1/artifact")).Length.ShouldBe(version.GetProperty("artifactBytes").GetInt32());
    }

    [Fact]
    public async Task Training_again_adds_the_next_version_and_the_same_rows_give_the_same_file()
    {
        var tenant = await TestTenant.NewAsync();
        await UploadAsync(tenant, SimulatedSales.Csv(300));
        (await EndAsync(tenant, await (await StartAsync(tenant)).ShouldBeAsync(202))).GetProperty("version").GetInt32().ShouldBe(1);
        (await EndAsync(tenant, await (await StartAsync(tenant)).ShouldBeAsync(202))).GetProperty("version").GetInt32().ShouldBe(2);

        var (first, second) = (await VersionAsync(1), await VersionAsync(2));
        second.GetProperty("artifactSha256").GetString().ShouldBe(first.GetProperty("artifactSha256").GetString());

        async Task<JsonElement> VersionAsync(int number) => await (await tenant.Viewer.GetAsync($"{TestModels.Models}/prices/versions/{number}")).ShouldBeAsync(200);
    }

    [Fact]
    public async Task Trainings_are_runs_too_and_are_compared_on_the_rows_they_were_tested_on()
    {
        var tenant = await TestTenant.NewAsync();
        await UploadAsync(tenant, SimulatedSales.Csv(300));
        var first = await EndAsync(tenant, await (await StartAsync(tenant)).ShouldBeAsync(202));
        var again = await EndAsync(tenant, await (await StartAsync(tenant)).ShouldBeAsync(202));
        var (a, b) = (first.GetProperty("id").GetGuid().ToString("N"), again.GetProperty("id").GetGuid().ToString("N"));

        var run = await Eventually.BecomesAsync("the run to end", async () => await (await tenant.Viewer.GetAsync($"api/v1/registry/runs/{b}")).ShouldBeAsync(200), r => r.GetProperty("status").GetString() is "FINISHED");
        run.GetProperty("name").GetString().ShouldBe("prices version 2");
        run.GetProperty("parameters").GetProperty("target").GetString().ShouldBe("price");
        run.GetProperty("datasets").EnumerateArray().Single().GetProperty("context").GetString().ShouldBe("training");
        var version = await (await tenant.Viewer.GetAsync($"{TestModels.Models}/prices/versions/2")).ShouldBeAsync(200);
        run.GetProperty("metrics").GetProperty("rmse").GetDouble().ShouldBe(version.GetProperty("metrics").GetProperty("rmse").GetDouble());
        var made = (await (await tenant.Viewer.GetAsync($"api/v1/registry/runs/{b}/versions")).ShouldBeAsync(200)).EnumerateArray().Single();
        (made.GetProperty("model").GetString(), made.GetProperty("version").GetInt32()).ShouldBe(("prices", 2));
        var experiment = (await (await tenant.Viewer.GetAsync("api/v1/registry/experiments?search=training/prices")).ShouldBeAsync(200)).EnumerateArray().Single();
        experiment.GetProperty("runs").GetInt64().ShouldBe(2);

        var told = (await (await tenant.Viewer.GetAsync($"api/v1/registry/runs/compare?runs={a},{b}&id=row")).ShouldBeAsync(200)).GetProperty("differences").EnumerateArray().Single();
        (told.GetProperty("rows").GetInt32(), told.GetProperty("difference").GetDouble()).ShouldBe((60, 0));
        // The table is what the version's own metrics were computed of.
        Math.Sqrt(told.GetProperty("meanA").GetDouble()).ShouldBe(version.GetProperty("metrics").GetProperty("rmse").GetDouble(), 1e-6);
    }

    [Fact]
    public async Task What_the_columns_show_to_be_impossible_is_refused_at_once()
    {
        var tenant = await TestTenant.NewAsync();
        await (await StartAsync(tenant)).ShouldRefuseAsync(404, "no-such-dataset");
        await UploadAsync(tenant, SimulatedSales.Csv(100));

        var unknown = await (await StartAsync(tenant, target: "cost")).ShouldRefuseAsync(400, "unknown-column");
        unknown.GetProperty("field").GetString().ShouldBe("target");
        unknown.GetProperty("mend").GetString()!.ShouldContain("price");
        await (await StartAsync(tenant, target: "region")).ShouldRefuseAsync(400, "target-not-numeric");
        await (await StartAsync(tenant, target: "")).ShouldRefuseAsync(400, "invalid-field");
        await (await StartAsync(tenant, timeColumn: "area")).ShouldRefuseAsync(400, "not-a-date-column");
        await (await StartAsync(tenant, model: "My Model")).ShouldRefuseAsync(400, "invalid-field");
        await (await tenant.Viewer.PostAsJsonAsync(Jobs, new { dataset = "sales", target = "price", model = "prices" })).ShouldRefuseAsync(403, "permission-missing");
        (await (await tenant.Viewer.GetAsync(Jobs)).ShouldBeAsync(200)).GetArrayLength().ShouldBe(0);
    }

    [Fact]
    public async Task What_only_the_rows_show_ends_the_job_with_the_reason_and_makes_no_model()
    {
        var tenant = await TestTenant.NewAsync();
        await UploadAsync(tenant, Csv("x,price\n" + string.Concat(Enumerable.Range(0, 100).Select(i => $"{i % 13},500\n"))));
        var job = await EndAsync(tenant, await (await StartAsync(tenant)).ShouldBeAsync(202));
        job.GetProperty("status").GetString().ShouldBe("failed");
        job.GetProperty("failure").GetProperty("code").GetString().ShouldBe("constant-target");
        job.GetProperty("failure").GetProperty("field").GetString().ShouldBe("price");
        job.GetProperty("failure").GetProperty("mend").GetString().ShouldNotBeNullOrEmpty();
        await (await tenant.Viewer.GetAsync($"{TestModels.Models}/prices")).ShouldRefuseAsync(404, "no-such-model");
        await (await tenant.Developer.PostAsync($"{Jobs}/{job.GetProperty("id")}/cancel", null)).ShouldRefuseAsync(409, "already-ended");
    }

    [Fact]
    public async Task A_cancelled_training_stops_and_no_version_comes_of_it()
    {
        var tenant = await TestTenant.NewAsync();
        await UploadAsync(tenant, SimulatedSales.Csv(60_000));
        var started = await (await StartAsync(tenant)).ShouldBeAsync(202);
        await Eventually.BecomesAsync("the training to run", () => GetAsync(tenant, started), j => j.GetProperty("status").GetString() == "running" && j.GetProperty("progress").GetDouble() > 0);

        var cancelled = await (await tenant.Developer.PostAsync($"{Jobs}/{started.GetProperty("id")}/cancel", null)).ShouldBeAsync(200);
        cancelled.GetProperty("status").GetString().ShouldBe("cancelled");

        // A worker that is free again has let go of the cancelled work: the next job is done by it.
        await UploadAsync(tenant, SimulatedSales.Csv(200), "few");
        (await EndAsync(tenant, await (await StartAsync(tenant, dataset: "few")).ShouldBeAsync(202))).GetProperty("version").GetInt32().ShouldBe(1);
        (await GetAsync(tenant, started)).GetProperty("status").GetString().ShouldBe("cancelled");
    }

    [Fact]
    public async Task A_job_taken_up_twice_after_a_crash_adds_one_version()
    {
        var tenant = await TestTenant.NewAsync();
        await UploadAsync(tenant, SimulatedSales.Csv(2_000));
        var started = await (await StartAsync(tenant)).ShouldBeAsync(202);
        await Eventually.BecomesAsync("the training to run", () => GetAsync(tenant, started), j => j.GetProperty("status").GetString() is "running" or "succeeded");

        // What the queue does when it has not heard of the worker for long, be it dead or only slow; and again after the end.
        await RunAsync();
        await EndAsync(tenant, started);
        await RunAsync();

        var model = await (await tenant.Viewer.GetAsync($"{TestModels.Models}/prices")).ShouldBeAsync(200);
        model.GetProperty("versions").GetArrayLength().ShouldBe(1);

        async Task RunAsync()
        {
            await using var scope = tenant.App.Services.CreateAsyncScope();
            scope.ServiceProvider.GetRequiredService<CallerScope>().Begin(Caller.System(tenant.Id));
            await ActivatorUtilities.CreateInstance<TrainingRun>(scope.ServiceProvider).RunAsync(new TrainingRun.Args(started.GetProperty("id").GetGuid()), CancellationToken.None);
        }
    }

    [Fact]
    public async Task Another_tenants_job_looks_as_if_it_were_not_there()
    {
        var (tenant, other) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await UploadAsync(tenant, SimulatedSales.Csv(200));
        var started = await (await StartAsync(tenant)).ShouldBeAsync(202);
        await (await other.Admin.GetAsync($"{Jobs}/{started.GetProperty("id")}")).ShouldRefuseAsync(404, "no-such-training-job");
        await (await other.Admin.PostAsync($"{Jobs}/{started.GetProperty("id")}/cancel", null)).ShouldRefuseAsync(404, "no-such-training-job");
        await EndAsync(tenant, started);
    }

    private static MemoryStream Csv(string text) => new(Encoding.UTF8.GetBytes(text));

    private static async Task<JsonElement> UploadAsync(TestTenant tenant, Stream csv, string name = "sales")
    {
        using var content = new StreamContent(csv) { Headers = { ContentType = new MediaTypeHeaderValue("text/csv") } };
        return await (await tenant.Developer.PostAsync($"api/v1/features/datasets?name={name}", content)).ShouldBeAsync(201);
    }

    private static Task<HttpResponseMessage> StartAsync(TestTenant tenant, string dataset = "sales", string target = "price", string model = "prices", string? timeColumn = null) =>
        tenant.Developer.PostAsJsonAsync(Jobs, new { dataset, target, model, timeColumn });

    private static async Task<JsonElement> GetAsync(TestTenant tenant, JsonElement job) =>
        await (await tenant.Viewer.GetAsync($"{Jobs}/{job.GetProperty("id")}")).ShouldBeAsync(200);

    private static Task<JsonElement> EndAsync(TestTenant tenant, JsonElement started) =>
        Eventually.BecomesAsync("the training to end", () => GetAsync(tenant, started), j => j.GetProperty("status").GetString() is "succeeded" or "failed" or "cancelled");
}
