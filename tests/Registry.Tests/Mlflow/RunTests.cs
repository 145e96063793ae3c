using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Platform.Testing;

namespace Registry.Tests.Mlflow;

public sealed class RunTests
{
    [Fact]
    public async Task A_run_is_begun_logged_to_and_read_back()
    {
        var tenant = await TestTenant.NewAsync();
        var experiment = await tenant.NewExperimentAsync();
        var run = await tenant.NewRunAsync(experiment, 1_795_422_514_093);
        await tenant.Developer.OkAsync("POST", "runs/log-parameter", new { run_uuid = run, key = "lr", value = "0.1" });
        await tenant.Developer.OkAsync("POST", "runs/log-metric", new { run_uuid = run, run_id = run, key = "rmse", value = 1.5, timestamp = 1_795_422_514_195, step = 3, unknown = "ignored" });
        await tenant.Developer.OkAsync("POST", "runs/set-tag", new { run_id = run, key = "k", value = "v" });
        await tenant.Developer.OkAsync("POST", "runs/update", new { run_id = run, status = "FINISHED", end_time = 1_795_422_515_020, run_name = "new" });

        var read = await tenant.RunAsync(run);
        var info = read.GetProperty("info");
        info.GetProperty("run_uuid").GetString().ShouldBe(run);
        info.GetProperty("experiment_id").GetString().ShouldBe(experiment);
        info.GetProperty("status").GetString().ShouldBe("FINISHED");
        info.GetProperty("run_name").GetString().ShouldBe("new");
        info.GetProperty("start_time").GetInt64().ShouldBe(1_795_422_514_093);
        info.GetProperty("end_time").GetInt64().ShouldBe(1_795_422_515_020);
        info.GetProperty("artifact_uri").GetString().ShouldBe($"mlflow-artifacts:/{experiment}/{run}/artifacts");
        info.GetProperty("lifecycle_stage").GetString().ShouldBe("active");
        read.Of("params", "lr")!.Value.GetProperty("value").GetString().ShouldBe("0.1");
        read.Of("metrics", "rmse")!.Value.GetRawText().ShouldBe("""{"key":"rmse","value":1.5,"timestamp":1795422514195,"step":3}""");
        read.Of("tags", "k")!.Value.GetProperty("value").GetString().ShouldBe("v");
        read.Of("tags", "mlflow.runName")!.Value.GetProperty("value").GetString().ShouldBe("new");

        await tenant.Developer.OkAsync("POST", "runs/delete-tag", new { run_id = run, key = "k" });
        (await tenant.RunAsync(run)).Of("tags", "k").ShouldBeNull();
        await tenant.Developer.RefusesAsync("POST", "runs/delete-tag", new { run_id = run, key = "k" }, 404, "RESOURCE_DOES_NOT_EXIST");
    }

    [Fact]
    public async Task The_latest_metric_is_the_one_with_the_greatest_step_time_and_value_and_the_history_has_all()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        foreach (var (value, timestamp, step) in new[] { (1.0, 10, 5), (9.0, 99, 4), (2.0, 10, 5), (0.5, 11, 5), (0.4, 11, 5) })
        {
            await tenant.Developer.OkAsync("POST", "runs/log-metric", new { run_id = run, key = "m", value, timestamp, step });
        }

        (await tenant.RunAsync(run)).Of("metrics", "m")!.Value.GetProperty("value").GetDouble().ShouldBe(0.5);
        List<double> all = [];
        string? token = null;
        do
        {
            var page = await tenant.Viewer.OkAsync("GET", $"metrics/get-history?run_uuid={run}&run_id={run}&metric_key=m&max_results=2&page_token={Uri.EscapeDataString(token ?? "")}");
            all.AddRange(page.GetProperty("metrics").EnumerateArray().Select(m => m.GetProperty("value").GetDouble()));
            token = page.TryGetProperty("next_page_token", out var next) ? next.GetString() : null;
        }
        while (token is not null);
        all.ShouldBe([1, 2, 0.4, 0.5, 9]);
        var bulk = await tenant.Viewer.OkAsync("GET", $"metrics/get-history-bulk?run_id={run}&metric_key=m");
        bulk.GetProperty("metrics").EnumerateArray().Select(m => m.GetProperty("run_id").GetString()).Distinct().ShouldBe([run]);
        await tenant.Viewer.RefusesAsync("GET", $"metrics/get-history?run_id={new string('a', 32)}&metric_key=m", null, 404, "RESOURCE_DOES_NOT_EXIST");
    }

    [Fact]
    public async Task A_thinned_history_keeps_its_spikes_and_its_ends()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        for (var batch = 0; batch < 4; batch++)
        {
            await tenant.Developer.OkAsync("POST", "runs/log-batch", new { run_id = run, metrics = Enumerable.Range(batch * 500, 500).Select(i => new { key = "loss", value = i == 777 ? 1e6 : i % 10, timestamp = i, step = i }) });
        }

        var thin = await tenant.Viewer.OkAsync("GET", $"metrics/get-history-bulk-interval?run_ids={run}&metric_key=loss&max_results=50");
        var steps = thin.GetProperty("metrics").EnumerateArray().Select(m => m.GetProperty("step").GetInt64()).ToArray();
        steps.Length.ShouldBeInRange(20, 60);
        steps.ShouldContain(777);
        steps[0].ShouldBe(0);
        steps[^1].ShouldBe(1999);
    }

    [Fact]
    public async Task NaN_and_the_infinities_travel_as_texts()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        foreach (var value in new[] { "NaN", "Infinity", "-Infinity" })
        {
            await tenant.Developer.OkAsync("POST", "runs/log-metric", new { run_id = run, key = value, value, timestamp = 1, step = 0 });
            (await tenant.RunAsync(run)).Of("metrics", value)!.Value.GetProperty("value").GetString().ShouldBe(value);
            (await tenant.Viewer.OkAsync("GET", $"metrics/get-history?run_id={run}&metric_key={value}")).GetProperty("metrics")[0].GetProperty("value").GetString().ShouldBe(value);
        }
    }

    [Fact]
    public async Task A_batch_is_logged_whole_or_not_at_all_and_twice_is_once()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        object batch = new
        {
            run_id = run,
            metrics = new[] { new { key = "m1", value = 1.0, timestamp = 1, step = 1 }, new { key = "m1", value = 2.0, timestamp = 1, step = 2 } },
            @params = new[] { new { key = "a", value = "1" }, new { key = "b", value = "2" } },
            tags = new[] { new { key = "t", value = "x" } },
        };
        await tenant.Developer.OkAsync("POST", "runs/log-batch", batch);
        await tenant.Developer.OkAsync("POST", "runs/log-batch", batch);
        (await tenant.Viewer.OkAsync("GET", $"metrics/get-history?run_id={run}&metric_key=m1")).GetProperty("metrics").GetArrayLength().ShouldBe(2);
        (await tenant.RunAsync(run)).Of("metrics", "m1")!.Value.GetProperty("step").GetInt64().ShouldBe(2);

        // One parameter has another value: nothing of the batch is kept.
        var said = await tenant.Developer.RefusesAsync("POST", "runs/log-batch", new
        {
            run_id = run,
            metrics = new[] { new { key = "m2", value = 1.0, timestamp = 1, step = 1 } },
            @params = new[] { new { key = "c", value = "3" }, new { key = "b", value = "other" } },
            tags = new[] { new { key = "u", value = "x" } },
        }, 400, "INVALID_PARAMETER_VALUE");
        said.ShouldContain("Changing param values is not allowed. Param with key='b' was already logged with value='2'");
        var after = await tenant.RunAsync(run);
        after.Of("metrics", "m2").ShouldBeNull();
        after.Of("params", "c").ShouldBeNull();
        after.Of("tags", "u").ShouldBeNull();
        await tenant.Developer.OkAsync("POST", "runs/log-parameter", new { run_id = run, key = "b", value = "2" });
        await tenant.Developer.RefusesAsync("POST", "runs/log-parameter", new { run_id = run, key = "b", value = "3" }, 400, "INVALID_PARAMETER_VALUE");
    }

    [Fact]
    public async Task Batches_of_one_run_at_the_same_moment_neither_wait_for_each_other_for_ever_nor_lose_anything()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => tenant.Developer.OkAsync("POST", "runs/log-batch", new
        {
            run_id = run,
            metrics = Enumerable.Range(0, 200).Select(i => new { key = $"m{(worker % 2 == 0 ? i : 199 - i)}", value = worker, timestamp = 1, step = worker }),
        })));
        var read = await tenant.RunAsync(run);
        read.GetProperty("data").GetProperty("metrics").EnumerateArray().Count(m => m.GetProperty("value").GetDouble() == 7).ShouldBe(200);
    }

    [Fact]
    public async Task What_is_over_a_limit_or_of_the_wrong_type_is_the_callers_mistake_and_never_the_servers()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        var metric = new { key = "m", value = (object)1.0, timestamp = (object)1, step = (object)1 };
        object Pairs(int count) => Enumerable.Range(0, count).Select(i => new { key = $"k{i}", value = "v" });
        object[] batches =
        [
            new { run_id = run, metrics = Enumerable.Repeat(metric, 1_001) },
            new { run_id = run, @params = Pairs(101) },
            new { run_id = run, tags = Pairs(101) },
            new { run_id = run, metrics = Enumerable.Repeat(metric, 901), @params = Pairs(100) },
            new { run_id = run, @params = new[] { new { key = "a", value = "1" }, new { key = "a", value = "1" } } },
            new { run_id = run, metrics = new[] { metric with { value = "much" } } },
            new { run_id = run, metrics = new[] { metric with { value = true } } },
            new { run_id = run, metrics = new[] { metric with { timestamp = -1 } } },
            new { run_id = run, metrics = new[] { metric with { timestamp = 1.5 } } },
            new { run_id = run, metrics = new[] { metric with { step = "first" } } },
            new { run_id = run, metrics = new[] { metric with { key = "../m" } } },
            new { run_id = run, metrics = new[] { metric with { key = "/m" } } },
            new { run_id = run, metrics = new[] { metric with { key = "m$" } } },
            new { run_id = run, metrics = new[] { metric with { key = new string('k', 251) } } },
            new { run_id = run, metrics = new[] { metric with { key = "" } } },
            new { run_id = run, metrics = new object[] { 5 } },
            new { run_id = run, metrics = metric },
            new { run_id = run, @params = new object[] { new { key = "a", value = 5 } } },
            new { run_id = run, tags = new[] { new { key = "a", value = "nul\0" } } },
            new { run_id = run, tags = new[] { new { key = "a", value = new string('v', 1_000_001) } } },
            new { metrics = new[] { metric } },
            new { run_id = new[] { run } },
        ];
        foreach (var batch in batches)
        {
            var said = await tenant.Developer.RefusesAsync("POST", "runs/log-batch", batch, 400, "INVALID_PARAMETER_VALUE");
            said.ShouldNotBeNullOrEmpty();
        }

        foreach (var body in new[] { "{", "[1]", "nothing", "\"\\ud800\"", "{\"run_id\": \"\\ud800\"}", "{\"run_id\": null}" })
        {
            using var answer = await tenant.Developer.PostAsync($"{TestMlflow.Api}/runs/log-batch", new StringContent(body, Encoding.UTF8, "application/json"));
            (await answer.ShouldBeAsync(400)).GetProperty("message").GetString().ShouldNotBeNullOrEmpty(body);
        }

        await tenant.Developer.RefusesAsync("POST", "runs/log-batch", new { run_id = "deadbeef" }, 404, "RESOURCE_DOES_NOT_EXIST");
        await tenant.Developer.RefusesAsync("POST", "runs/update", new { run_id = run, status = "DONE" }, 400, "INVALID_PARAMETER_VALUE");
        await tenant.Developer.RefusesAsync("POST", "runs/create", new { experiment_id = "99" }, 404, "RESOURCE_DOES_NOT_EXIST");
        await tenant.Developer.RefusesAsync("POST", "runs/log-inputs", new { run_id = run, datasets = new object[] { new { dataset = new { name = "d" } } } }, 400, "INVALID_PARAMETER_VALUE");
        await tenant.Developer.RefusesAsync("POST", "runs/log-model", new { run_id = run, model_json = "{}" }, 400, "INVALID_PARAMETER_VALUE");
        (await tenant.RunAsync(run)).GetProperty("data").TryGetProperty("metrics", out _).ShouldBeFalse();
    }

    [Fact]
    public async Task What_is_too_long_of_a_runs_parameters_and_tags_is_cut_and_the_same_value_again_is_the_same()
    {
        var tenant = await TestTenant.NewAsync();
        string Long(int length, string end) => new string('v', length) + end;
        var run = await tenant.NewRunAsync(tags: [new { key = "made", value = Long(8_000, "x") }]);
        foreach (var end in new[] { "x", "x", "y" })
        {
            await tenant.Developer.OkAsync("POST", "runs/log-parameter", new { run_id = run, key = "one", value = Long(6_000, end) });
            await tenant.Developer.OkAsync("POST", "runs/set-tag", new { run_id = run, key = "set", value = Long(8_000, end) });
            await tenant.Developer.OkAsync("POST", "runs/log-batch", new { run_id = run, @params = new[] { new { key = "many", value = Long(6_000, end) } }, tags = new[] { new { key = "many", value = Long(8_000, end) } } });
        }

        // A character that takes two places is one, and is not cut in half.
        await tenant.Developer.OkAsync("POST", "runs/log-parameter", new { run_id = run, key = "whole", value = Long(5_999, "😀😀") });
        var read = await tenant.RunAsync(run);
        foreach (var (list, key, expected) in new[] { ("tags", "made", Long(8_000, "")), ("tags", "set", Long(8_000, "")), ("tags", "many", Long(8_000, "")), ("params", "one", Long(6_000, "")), ("params", "many", Long(6_000, "")), ("params", "whole", Long(5_999, "😀")) })
        {
            read.Of(list, key)!.Value.GetProperty("value").GetString().ShouldBe(expected, key);
        }

        await tenant.Developer.RefusesAsync("POST", "runs/log-parameter", new { run_id = run, key = "one", value = "other" }, 400, "INVALID_PARAMETER_VALUE");
        await tenant.Developer.RefusesAsync("POST", "experiments/set-experiment-tag", new { experiment_id = "0", key = "long", value = Long(8_000, "x") }, 400, "INVALID_PARAMETER_VALUE");
        await (await tenant.Developer.PostAsJsonAsync($"api/v1/registry/runs/{run}/log", new { parameters = new Dictionary<string, string> { ["p"] = Long(6_000, "x") } })).ShouldBeAsync(400);
    }

    [Fact]
    public async Task A_deleted_experiment_takes_nothing_until_it_is_restored()
    {
        var tenant = await TestTenant.NewAsync();
        var experiment = await tenant.NewExperimentAsync();
        await tenant.Developer.OkAsync("POST", "experiments/set-experiment-tag", new { experiment_id = experiment, key = "k", value = "v" });
        await tenant.Developer.OkAsync("POST", "experiments/delete", new { experiment_id = experiment });
        foreach (var (path, body) in new (string, object)[]
        {
            ("runs/create", new { experiment_id = experiment }), ("experiments/set-experiment-tag", new { experiment_id = experiment, key = "k", value = "w" }),
            ("experiments/delete-experiment-tag", new { experiment_id = experiment, key = "k" }), ("logged-models", new { experiment_id = experiment, name = "m" }),
        })
        {
            (await tenant.Developer.RefusesAsync("POST", path, body, 400, "INVALID_PARAMETER_VALUE")).ShouldBe($"The experiment {experiment} must be in the 'active' state. Current state is deleted.");
        }

        await tenant.Developer.RefusesAsync("POST", "experiments/update", new { experiment_id = experiment, new_name = "f" }, 400, "INVALID_STATE");
        await tenant.Developer.RefusesAsync("POST", "experiments/delete", new { experiment_id = experiment }, 404, "RESOURCE_DOES_NOT_EXIST");
        (await tenant.Viewer.OkAsync("GET", $"experiments/get?experiment_id={experiment}")).GetProperty("experiment").GetProperty("tags").EnumerateArray().ShouldHaveSingleItem().GetProperty("value").GetString().ShouldBe("v");

        await tenant.Developer.OkAsync("POST", "experiments/restore", new { experiment_id = experiment });
        await tenant.Developer.OkAsync("POST", "experiments/delete-experiment-tag", new { experiment_id = experiment, key = "k" });
        (await tenant.Developer.RefusesAsync("POST", "experiments/delete-experiment-tag", new { experiment_id = experiment, key = "k" }, 404, "RESOURCE_DOES_NOT_EXIST")).ShouldBe($"No tag with name: k in experiment with id {experiment}");
        foreach (var path in new[] { "experiments/set-experiment-tag", "experiments/delete-experiment-tag", "experiments/update" })
        {
            await tenant.Developer.RefusesAsync("POST", path, new { experiment_id = "99", key = "k", value = "v", new_name = "n" }, 404, "RESOURCE_DOES_NOT_EXIST");
        }
    }

    [Fact]
    public async Task A_deleted_run_takes_nothing_until_it_is_restored()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        await tenant.Developer.OkAsync("POST", "runs/delete", new { run_id = run });
        (await tenant.RunAsync(run)).GetProperty("info").GetProperty("lifecycle_stage").GetString().ShouldBe("deleted");
        await tenant.Developer.RefusesAsync("POST", "runs/log-metric", new { run_id = run, key = "m", value = 1, timestamp = 1 }, 400, "INVALID_PARAMETER_VALUE");
        await tenant.Developer.RefusesAsync("POST", "runs/update", new { run_id = run, status = "FAILED" }, 400, "INVALID_PARAMETER_VALUE");
        await tenant.Developer.OkAsync("POST", "runs/restore", new { run_id = run });
        await tenant.Developer.OkAsync("POST", "runs/log-metric", new { run_id = run, key = "m", value = 1, timestamp = 1 });
    }

    [Fact]
    public async Task Experiments_have_names_of_their_own_that_are_free_when_they_are_deleted()
    {
        var tenant = await TestTenant.NewAsync();
        (await tenant.Viewer.OkAsync("GET", "experiments/get?experiment_id=0")).GetProperty("experiment").GetProperty("name").GetString().ShouldBe("Default");
        await tenant.Viewer.RefusesAsync("GET", "experiments/get-by-name?experiment_name=e", null, 404, "RESOURCE_DOES_NOT_EXIST");
        var first = await tenant.NewExperimentAsync();
        await tenant.Developer.RefusesAsync("POST", "experiments/create", new { name = "e" }, 400, "RESOURCE_ALREADY_EXISTS");
        await tenant.Developer.OkAsync("POST", "experiments/set-experiment-tag", new { experiment_id = first, key = "team", value = "x" });
        await tenant.Developer.OkAsync("POST", "experiments/delete", new { experiment_id = first });
        (await tenant.Viewer.OkAsync("GET", "experiments/get-by-name?experiment_name=e")).GetProperty("experiment").GetProperty("lifecycle_stage").GetString().ShouldBe("deleted");
        await tenant.Developer.RefusesAsync("POST", "runs/create", new { experiment_id = first }, 400, "INVALID_PARAMETER_VALUE");
        var second = await tenant.NewExperimentAsync();
        second.ShouldNotBe(first);
        await tenant.Developer.RefusesAsync("POST", "experiments/restore", new { experiment_id = first }, 400, "RESOURCE_ALREADY_EXISTS");
        await tenant.Developer.OkAsync("POST", "experiments/update", new { experiment_id = second, new_name = "f" });
        await tenant.Developer.OkAsync("POST", "experiments/restore", new { experiment_id = first });

        foreach (var (filter, expected) in new[] { ("name LIKE 'e%'", new[] { "e" }), ("", ["f", "e", "Default"]), ("tags.team = 'x'", ["e"]), ("name ILIKE '%F%' AND name != 'f'", ["Default"]) })
        {
            var found = await tenant.Viewer.OkAsync("POST", "experiments/search", new { max_results = 10, filter });
            found.GetProperty("experiments").EnumerateArray().Select(e => e.GetProperty("name").GetString()).ShouldBe(expected, filter);
        }

        var page = await tenant.Viewer.OkAsync("POST", "experiments/search", new { max_results = 2, order_by = new[] { "name ASC" } });
        page.GetProperty("experiments").GetArrayLength().ShouldBe(2);
        var rest = await tenant.Viewer.OkAsync("POST", "experiments/search", new { max_results = 2, order_by = new[] { "name ASC" }, page_token = page.GetProperty("next_page_token").GetString() });
        rest.GetProperty("experiments")[0].GetProperty("name").GetString().ShouldBe("f");
        foreach (var filter in new[] { "color = 'x'", "name > 'a'", "tags.team <= 'x'", "creation_time = 'x'" })
        {
            await tenant.Viewer.RefusesAsync("POST", "experiments/search", new { max_results = 2, filter }, 400, "INVALID_PARAMETER_VALUE");
        }

        (await tenant.Viewer.RefusesAsync("POST", "experiments/search", new { max_results = 2, order_by = new[] { "tags.team" } }, 400, "INVALID_PARAMETER_VALUE")).ShouldStartWith("Invalid order by key");
    }

    [Fact]
    public async Task Runs_of_a_deleted_experiment_count_as_deleted_until_it_is_restored()
    {
        var tenant = await TestTenant.NewAsync();
        var experiment = await tenant.NewExperimentAsync();
        var run = await tenant.NewRunAsync(experiment);
        await tenant.Developer.OkAsync("POST", "runs/log-metric", new { run_id = run, key = "m", value = 1, timestamp = 1 });
        async Task<int> FoundAsync(string view, string filter) => (await tenant.Viewer.OkAsync("POST", "runs/search", new { experiment_ids = new[] { experiment }, run_view_type = view, filter })).TryGetProperty("runs", out var runs) ? runs.GetArrayLength() : 0;
        foreach (var filter in new[] { "", "metrics.m = 1" })
        {
            await tenant.Developer.OkAsync("POST", "experiments/delete", new { experiment_id = experiment });
            (await FoundAsync("ACTIVE_ONLY", filter), await FoundAsync("DELETED_ONLY", filter), await FoundAsync("ALL", filter)).ShouldBe((0, 1, 1));
            (await tenant.RunAsync(run)).GetProperty("info").GetProperty("lifecycle_stage").GetString().ShouldBe("deleted");
            await tenant.Developer.OkAsync("POST", "experiments/restore", new { experiment_id = experiment });
            (await FoundAsync("ACTIVE_ONLY", filter), await FoundAsync("DELETED_ONLY", filter), await FoundAsync("ALL", filter)).ShouldBe((1, 0, 1));
        }
    }

    [Fact]
    public async Task Runs_can_be_read_and_searched_without_a_client_of_MLflow()
    {
        var tenant = await TestTenant.NewAsync();
        var experiment = await tenant.NewExperimentAsync("prices");
        foreach (var value in new[] { 3.0, 1.0, 2.0 })
        {
            var run = await tenant.NewRunAsync(experiment, 1_000);
            await tenant.Developer.OkAsync("POST", "runs/log-batch", new { run_id = run, metrics = new object[] { new { key = "rmse", value, timestamp = 1 }, new { key = "bad", value = "NaN", timestamp = 1 } }, @params = new[] { new { key = "lr", value = "0.1" } } });
        }

        const string Registry = "api/v1/registry";
        (await (await tenant.Viewer.GetAsync($"{Registry}/experiments")).ShouldBeAsync(200)).EnumerateArray().Select(e => e.GetProperty("name").GetString()).ShouldBe(["prices", "Default"]);
        var search = $"{Registry}/experiments/{experiment}/runs?limit=2&orderBy={Uri.EscapeDataString("metrics.rmse ASC")}&filter={Uri.EscapeDataString("params.lr = '0.1'")}";
        var page = await (await tenant.Viewer.GetAsync(search)).ShouldBeAsync(200);
        page.GetProperty("items").EnumerateArray().Select(r => r.GetProperty("metrics").GetProperty("rmse").GetDouble()).ShouldBe([1, 2]);
        var rest = await (await tenant.Viewer.GetAsync($"{search}&after={Uri.EscapeDataString(page.GetProperty("next").GetString()!)}")).ShouldBeAsync(200);
        var last = rest.GetProperty("items").EnumerateArray().ShouldHaveSingleItem();
        last.GetProperty("metrics").TryGetProperty("bad", out _).ShouldBeFalse();
        (await (await tenant.Viewer.GetAsync($"{Registry}/runs/{last.GetProperty("id").GetString()}")).ShouldBeAsync(200)).ToString().ShouldBe(last.ToString());

        await (await tenant.Viewer.GetAsync($"{Registry}/experiments/{experiment}/runs?filter=metrics.a%20OR")).ShouldRefuseAsync(400, "bad-filter");
        await (await tenant.Viewer.GetAsync($"{Registry}/experiments/{experiment}/runs?orderBy=metrics.a%20DOWN")).ShouldRefuseAsync(400, "bad-order");
        await (await tenant.Viewer.GetAsync($"{Registry}/experiments/{experiment}/runs?after=x")).ShouldRefuseAsync(400, "bad-page");
        await (await tenant.Viewer.GetAsync($"{Registry}/experiments/99/runs")).ShouldRefuseAsync(404, "no-such-experiment");
        await (await tenant.Viewer.GetAsync($"{Registry}/runs/nothing")).ShouldRefuseAsync(404, "no-such-run");
    }

    [Fact]
    public async Task Experiments_made_at_the_same_moment_get_numbers_of_their_own_and_one_name_goes_to_one()
    {
        var tenant = await TestTenant.NewAsync();
        var ids = await Task.WhenAll(Enumerable.Range(0, 6).Select(i => tenant.NewExperimentAsync($"e{i}")));
        ids.Distinct().Count().ShouldBe(6);
        var answers = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => tenant.Developer.SendAsync("POST", "experiments/create", new { name = "same" })));
        answers.Count(a => a.StatusCode is HttpStatusCode.OK).ShouldBe(1);
        answers.Count(a => a.StatusCode is HttpStatusCode.BadRequest).ShouldBe(5);
    }

    [Fact]
    public async Task Datasets_of_a_run_are_kept_with_what_they_were_used_for()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        object inputs = new { run_id = run, datasets = new[] { new { tags = new[] { new { key = "mlflow.data.context", value = "training" } }, dataset = new { name = "ds", digest = "2981c147", source_type = "code", source = "{}", schema = "{}", profile = "{\"num_rows\": 2}" } } } };
        await tenant.Developer.OkAsync("POST", "runs/log-inputs", inputs);
        await tenant.Developer.OkAsync("POST", "runs/log-inputs", inputs);
        var input = (await tenant.RunAsync(run)).GetProperty("inputs").GetProperty("dataset_inputs").EnumerateArray().ShouldHaveSingleItem();
        input.GetProperty("dataset").GetProperty("digest").GetString().ShouldBe("2981c147");
        input.GetProperty("tags")[0].GetProperty("value").GetString().ShouldBe("training");
    }

    [Fact]
    public async Task A_key_is_taken_as_a_bearer_token_or_as_the_password_of_anyone_and_without_one_nothing_is_told()
    {
        var tenant = await TestTenant.NewAsync();
        using var stranger = tenant.App.ClientWith(null);
        var refused = await stranger.SendAsync("POST", "experiments/search", new { });
        refused.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        refused.Headers.WwwAuthenticate.Select(h => h.Scheme).ShouldBe(["Bearer", "Basic"]);
        JsonDocument.Parse(await refused.Content.ReadAsStringAsync()).RootElement.GetProperty("error_code").GetString().ShouldBe("UNAUTHENTICATED");

        stranger.DefaultRequestHeaders.Authorization = Basic($"anyone:{tenant.DeveloperKey}");
        await stranger.OkAsync("POST", "experiments/search", new { });
        stranger.DefaultRequestHeaders.Authorization = Basic("anyone:wrong");
        await stranger.RefusesAsync("POST", "experiments/search", new { }, 401, "UNAUTHENTICATED");
        stranger.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Basic", "%%%");
        await stranger.RefusesAsync("POST", "experiments/search", new { }, 401, "UNAUTHENTICATED");
        // Elsewhere a password is none.
        stranger.DefaultRequestHeaders.Authorization = Basic($"anyone:{tenant.DeveloperKey}");
        (await stranger.GetAsync("api/v1/registry/models")).StatusCode.ShouldBe(HttpStatusCode.Unauthorized);

        await tenant.Viewer.RefusesAsync("POST", "runs/create", new { experiment_id = "0" }, 403, "PERMISSION_DENIED");
        await tenant.Viewer.RefusesAsync("POST", "registered-models/create", new { name = "m" }, 403, "PERMISSION_DENIED");

        static AuthenticationHeaderValue Basic(string pair) => new("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(pair)));
    }

    [Theory]
    [InlineData("GET", "mlflow/api/2.0/mlflow/nothing")]
    [InlineData("PUT", "mlflow/api/2.0/mlflow/runs/create")]
    [InlineData("GET", "mlflow/api/3.0/mlflow/traces/search")]
    [InlineData("GET", "mlflow/")]
    public async Task An_address_that_is_none_is_told_in_the_dialects_shape(string method, string path)
    {
        var tenant = await TestTenant.NewAsync();
        var answer = await (await tenant.Viewer.SendAsync(new HttpRequestMessage(new HttpMethod(method), path))).ShouldBeAsync(404);
        answer.GetProperty("error_code").GetString().ShouldBe("ENDPOINT_NOT_FOUND");
    }

    [Fact]
    public async Task Nothing_of_another_tenant_is_there()
    {
        var (mine, theirs) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        var (experiment, run) = (await theirs.NewExperimentAsync(), "");
        run = await theirs.NewRunAsync(experiment);
        await theirs.Developer.OkAsync("POST", "runs/log-metric", new { run_id = run, key = "m", value = 1, timestamp = 1 });
        await (await theirs.Developer.PutFileAsync($"{experiment}/{run}/artifacts/f.txt", "secret")).ShouldBeAsync(200);
        await theirs.Developer.OkAsync("POST", "registered-models/create", new { name = "theirs" });

        await mine.Admin.RefusesAsync("GET", $"experiments/get?experiment_id={experiment}", null, 404, "RESOURCE_DOES_NOT_EXIST");
        foreach (var (method, path, body) in new (string, string, object?)[]
        {
            ("GET", $"runs/get?run_id={run}", null), ("POST", "runs/update", new { run_id = run, status = "FAILED" }), ("POST", "runs/delete", new { run_id = run }), ("POST", "runs/restore", new { run_id = run }),
            ("POST", "runs/log-metric", new { run_id = run, key = "m", value = 2, timestamp = 2 }), ("POST", "runs/log-parameter", new { run_id = run, key = "m", value = "2" }), ("POST", "runs/set-tag", new { run_id = run, key = "m", value = "2" }),
            ("POST", "runs/delete-tag", new { run_id = run, key = "m" }), ("POST", "runs/log-batch", new { run_id = run }), ("POST", "runs/log-inputs", new { run_id = run }),
            ("POST", "runs/log-model", new { run_id = run, model_json = "{\"artifact_path\":1,\"utc_time_created\":1,\"flavors\":1}" }), ("GET", $"metrics/get-history?run_id={run}&metric_key=m", null), ("GET", $"artifacts/list?run_id={run}", null),
            ("GET", "registered-models/get?name=theirs", null), ("PATCH", "registered-models/update", new { name = "theirs" }), ("DELETE", "registered-models/delete", new { name = "theirs" }),
            ("POST", "model-versions/create", new { name = "theirs", source = "mlflow-artifacts:/1/x" }), ("POST", "registered-models/alias", new { name = "theirs", alias = "a", version = "1" }),
        })
        {
            await mine.Admin.RefusesAsync(method, path, body, 404, "RESOURCE_DOES_NOT_EXIST");
        }

        (await mine.Admin.OkAsync("POST", "runs/search", new { experiment_ids = new[] { experiment } })).EnumerateObject().ShouldBeEmpty();
        await (await mine.Admin.GetAsync($"{TestMlflow.Files}/{experiment}/{run}/artifacts/f.txt")).ShouldBeAsync(404);
        (await (await mine.Admin.GetAsync($"{TestMlflow.Files}?path={experiment}/{run}/artifacts")).ShouldBeAsync(200)).GetProperty("files").GetArrayLength().ShouldBe(0);
        (await theirs.RunAsync(run)).Of("metrics", "m")!.Value.GetProperty("value").GetDouble().ShouldBe(1);
    }
}
