using System.Text.Json;
using Platform.Testing;

namespace Registry.Tests.Mlflow;

public sealed class LoggedModelMetricTests
{
    [Fact]
    public async Task A_metric_logged_with_a_model_is_the_runs_and_the_models_and_the_model_shows_the_latest_of_each_dataset()
    {
        var tenant = await TestTenant.NewAsync();
        var (run, model) = (await tenant.NewRunAsync(), await ModelAsync(tenant, "net"));
        await LogAsync(tenant, run, model, ("acc", .5, 1, "train", "d1"), ("acc", .7, 2, "train", "d1"), ("acc", .6, 1, "test", "d2"));
        await tenant.Developer.OkAsync("POST", "runs/log-metric", new { run_id = run, key = "loss", value = 9, timestamp = 5, step = 1, model_id = model });

        (await tenant.RunAsync(run)).Of("metrics", "acc")!.Value.GetProperty("value").GetDouble().ShouldBe(.7);
        var metrics = (await tenant.Viewer.OkAsync("GET", $"logged-models/{model}")).GetProperty("model").GetProperty("data").GetProperty("metrics").EnumerateArray().ToArray();
        metrics.Select(m => $"{Text(m, "key")} {m.GetProperty("value").GetDouble()} {Text(m, "dataset_name")} {Text(m, "dataset_digest")}").ShouldBe(["acc 0.6 test d2", "acc 0.7 train d1", "loss 9  "], ignoreOrder: true);
        metrics.ShouldAllBe(m => Text(m, "model_id") == model && Text(m, "run_id") == run);

        await tenant.Developer.RefusesAsync("POST", "runs/log-metric", new { run_id = run, key = "loss", value = 9, timestamp = 5, step = 1, model_id = "m-none" }, 404, "RESOURCE_DOES_NOT_EXIST");
        (await tenant.RunAsync(run)).Of("metrics", "loss")!.Value.GetProperty("timestamp").GetInt64().ShouldBe(5);
    }

    [Fact]
    public async Task Models_are_found_and_sorted_by_their_metrics_on_datasets_and_by_parameters()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        var (a, b, c) = (await ModelAsync(tenant, "a", "0.1"), await ModelAsync(tenant, "b", "0.2"), await ModelAsync(tenant, "c", "0.2"));
        await LogAsync(tenant, run, a, ("acc", .9, 1, "train", "d1"), ("acc", .4, 1, "test", "d2"));
        await LogAsync(tenant, run, b, ("acc", .8, 1, "train", "d1"), ("acc", .6, 1, "test", "d2"));

        (await SearchAsync(new { experiment_ids = new[] { "0" }, filter = "metrics.acc > 0.5", order_by = new[] { new { field_name = "name", ascending = true } } })).ShouldBe(["a", "b"]);
        (await SearchAsync(new { experiment_ids = new[] { "0" }, filter = "metrics.acc > 0.5", datasets = new[] { new { dataset_name = "test" } } })).ShouldBe(["b"]);
        (await SearchAsync(new { experiment_ids = new[] { "0" }, filter = "metrics.acc > 0.5", datasets = new[] { new { dataset_name = "test", dataset_digest = "d1" } } })).ShouldBeEmpty();
        (await SearchAsync(new { experiment_ids = new[] { "0" }, datasets = new[] { new { dataset_name = "test" } }, order_by = new[] { new { field_name = "name", ascending = true } } })).ShouldBe(["a", "b"]);
        (await SearchAsync(new { experiment_ids = new[] { "0" }, filter = "params.lr = '0.2' and name != 'c'" })).ShouldBe(["b"]);
        // Those without the metric come last, whichever way.
        (await SearchAsync(new { experiment_ids = new[] { "0" }, order_by = new[] { new { field_name = "metrics.acc", ascending = false, dataset_name = "train" } } })).ShouldBe(["a", "b", "c"]);
        (await SearchAsync(new { experiment_ids = new[] { "0" }, order_by = new[] { new { field_name = "metrics.acc", ascending = false, dataset_name = "test" } } })).ShouldBe(["b", "a", "c"]);
        (await SearchAsync(new { experiment_ids = new[] { "0" }, order_by = new[] { new { field_name = "metrics.acc", ascending = true, dataset_name = "train" } } })).ShouldBe(["b", "a", "c"]);
        await tenant.Viewer.RefusesAsync("POST", "logged-models/search", new { experiment_ids = new[] { "0" }, filter = "metrics.acc > 'x'" }, 400, "INVALID_PARAMETER_VALUE");
        await tenant.Viewer.RefusesAsync("POST", "logged-models/search", new { experiment_ids = new[] { "0" }, filter = "metrics.acc LIKE 'x'" }, 400, "INVALID_PARAMETER_VALUE");
        await tenant.Viewer.RefusesAsync("POST", "logged-models/search", new { experiment_ids = new[] { "0" }, order_by = new[] { new { field_name = "params.lr" } } }, 400, "INVALID_PARAMETER_VALUE");
        c.ShouldNotBe(b);

        async Task<string[]> SearchAsync(object body) => (await tenant.Viewer.OkAsync("POST", "logged-models/search", body)).TryGetProperty("models", out var models)
            ? [.. models.EnumerateArray().Select(m => m.GetProperty("info").GetProperty("name").GetString()!)] : [];
    }

    [Fact]
    public async Task Models_are_found_by_what_they_do_not_have_by_lists_and_by_where_they_are()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        await ModelAsync(tenant, "bare", "0.1");
        await tenant.Developer.OkAsync("POST", "logged-models", new { experiment_id = "0", name = "full", model_type = "agent", source_run_id = run, @params = new[] { new { key = "lr", value = "0.2" } }, tags = new[] { new { key = "team", value = "red" } } });
        foreach (var (filter, expected) in new[]
        {
            ("model_type != 'agent'", "bare"), ("model_type = 'agent'", "full"), ("source_run_id != 'x'", "bare, full"), ($"source_run_id = '{run}'", "full"), ($"source_run_id IN ('{run}',)", "full"),
            ("params.lr IN ('0.1')", "bare"), ("params.lr NOT IN ('0.1', '3')", "full"), ("params.none IN ('1')", ""), ("tags.team IN ('red', 'blue')", "full"),
            ("experiment_id = '0'", "bare, full"), ("experiment_id != '0'", ""), ("artifact_location LIKE 'mlflow-artifacts:/0/models/%'", "bare, full"),
        })
        {
            string.Join(", ", await FoundAsync(new { experiment_ids = new[] { "0" }, filter, order_by = new[] { new { field_name = "name", ascending = true } } })).ShouldBe(expected, filter);
        }

        (await FoundAsync(new { experiment_ids = new[] { "0" }, max_results = 0 })).Length.ShouldBe(2);
        foreach (var filter in new[] { "name > 'a'", "tags.team < 'x'", "params.lr >= '0.1'", "metrics.acc IN ('1')" })
        {
            await tenant.Viewer.RefusesAsync("POST", "logged-models/search", new { experiment_ids = new[] { "0" }, filter }, 400, "INVALID_PARAMETER_VALUE");
        }

        foreach (var field_name in new[] { "tags.team", "params.lr", "nothing" })
        {
            await tenant.Viewer.RefusesAsync("POST", "logged-models/search", new { experiment_ids = new[] { "0" }, order_by = new[] { new { field_name } } }, 400, "INVALID_PARAMETER_VALUE");
        }

        async Task<string[]> FoundAsync(object body) => (await tenant.Viewer.OkAsync("POST", "logged-models/search", body)).TryGetProperty("models", out var models)
            ? [.. models.EnumerateArray().Select(m => m.GetProperty("info").GetProperty("name").GetString()!)] : [];
    }

    [Fact]
    public async Task What_is_not_offered_is_declined_in_the_words_at_which_clients_go_another_way()
    {
        var tenant = await TestTenant.NewAsync();
        var info = await (await tenant.Viewer.GetAsync("mlflow/api/3.0/mlflow/server-info")).ShouldBeAsync(200);
        info.ToString().ShouldBe("""{"store_type":"SqlStore","workspaces_enabled":false}""");
        await (await tenant.Viewer.GetAsync("mlflow/api/2.0/mlflow-artifacts/presigned/0/r/artifacts/f")).ShouldBeAsync(501);
        (await tenant.Viewer.RefusesAsync("POST", "artifacts/presigned-download-url", new { }, 501, "NOT_IMPLEMENTED")).ShouldStartWith("Multipart download is not supported for the current artifact repository");
        (await tenant.Developer.RefusesAsync("POST", "artifacts/presigned-upload-url", new { }, 501, "NOT_IMPLEMENTED")).ShouldStartWith("Multipart upload is not supported for the current artifact repository");
        await (await tenant.Viewer.GetAsync("mlflow/api/3.0/mlflow/workspaces/x")).ShouldBeAsync(400);
        using var stranger = tenant.App.ClientWith(null);
        await (await stranger.GetAsync("mlflow/api/3.0/mlflow/server-info")).ShouldBeAsync(401);
    }

    private static async Task<string> ModelAsync(TestTenant tenant, string name, string lr = "1") =>
        (await tenant.Developer.OkAsync("POST", "logged-models", new { experiment_id = "0", name, @params = new[] { new { key = "lr", value = lr } } })).GetProperty("model").GetProperty("info").GetProperty("model_id").GetString()!;

    private static Task<JsonElement> LogAsync(TestTenant tenant, string run, string model, params (string Key, double Value, int Timestamp, string Dataset, string Digest)[] metrics) =>
        tenant.Developer.OkAsync("POST", "runs/log-batch", new { run_id = run, metrics = metrics.Select(m => new { key = m.Key, value = m.Value, timestamp = m.Timestamp, step = 0, model_id = model, dataset_name = m.Dataset, dataset_digest = m.Digest }) });

    private static string Text(JsonElement of, string name) => of.TryGetProperty(name, out var value) ? value.GetString()! : "";
}
