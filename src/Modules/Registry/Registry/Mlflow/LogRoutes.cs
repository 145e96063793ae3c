using System.Text.Json;
using Platform.Kernel;
using Platform.Registry.Tracking;

namespace Platform.Registry.Mlflow;

/// <summary><c>runs/log-…</c>, <c>runs/set-tag</c>, <c>runs/delete-tag</c>: what is written into a run.</summary>
internal static class LogRoutes
{
    internal static void Map(MlflowRoutes.Table routes)
    {
        routes.Post("mlflow/runs/log-metric", Permissions.WriteRuns, "Log a metric", call => LogAsync(call, [MlflowRules.OfModel(call)], [], []));
        routes.Post("mlflow/runs/log-parameter", Permissions.WriteRuns, "Log a parameter", call => LogAsync(call, [], [MlflowRules.RunParam(call)], []));
        routes.Post("mlflow/runs/set-tag", Permissions.WriteRuns, "Set a run's tag", call => LogAsync(call, [], [], [MlflowRules.RunTag(call)]));
        routes.Post("mlflow/runs/delete-tag", Permissions.WriteRuns, "Delete a run's tag", DeleteTagAsync);
        routes.Post("mlflow/runs/log-batch", Permissions.WriteRuns, "Log metrics, parameters and tags together", LogBatchAsync);
        routes.Post("mlflow/runs/log-inputs", Permissions.WriteRuns, "Log a run's datasets", LogInputsAsync);
        routes.Post("mlflow/runs/log-model", Permissions.WriteRuns, "Record that a run has logged a model", LogModelAsync);
        routes.Post("mlflow/runs/outputs", Permissions.WriteRuns, "Record the logged models a run has made", LogOutputsAsync);
    }

    private static async Task<Result<object?>> LogAsync(MlflowCall call, IReadOnlyList<ModelMetric> metrics, IReadOnlyList<Pair> parameters, IReadOnlyList<Pair> tags)
    {
        var run = MlflowRules.RunId(call);
        if (call.Wrong is { } wrong) return wrong;
        return ExperimentRoutes.Nothing(await call.Get<RunStore>().LogAsync(call.Tenant, run, [.. metrics.Select(m => m.Metric)], parameters, tags, call.Aborted, [.. metrics.Where(m => m.ModelId.Length > 0)]));
    }

    private static async Task<Result<object?>> LogBatchAsync(MlflowCall call)
    {
        if (call.Length > MlflowRules.MostBytesInBatch)
        {
            return MlflowCall.Bad($"Batched logging API requests must be at most {MlflowRules.MostBytesInBatch} bytes, got a request of size {call.Length}.");
        }

        var (metrics, parameters, tags) = (call.Objects("metrics", MlflowRules.OfModel), call.Objects("params", MlflowRules.RunParam), call.Objects("tags", MlflowRules.RunTag));
        MlflowRules.Limit(call, "metrics", metrics.Count, RunKeys.MostMetrics);
        MlflowRules.Limit(call, "params", parameters.Count, RunKeys.MostParameters);
        MlflowRules.Limit(call, "tags", tags.Count, RunKeys.MostTags);
        MlflowRules.Limit(call, "metrics, params, and tags", metrics.Count + parameters.Count + tags.Count, RunKeys.MostInBatch);
        MlflowRules.Once(call, parameters);
        return await LogAsync(call, metrics, parameters, tags);
    }

    private static async Task<Result<object?>> DeleteTagAsync(MlflowCall call)
    {
        var run = MlflowRules.RunId(call);
        var key = call.Required("key");
        if (call.Wrong is { } wrong) return wrong;
        return ExperimentRoutes.Nothing(await call.Get<RunStore>().DeleteTagAsync(call.Tenant, run, key, call.Aborted));
    }

    private static async Task<Result<object?>> LogInputsAsync(MlflowCall call)
    {
        var run = MlflowRules.RunId(call);
        var inputs = call.Objects("datasets", input =>
        {
            var tags = input.Objects("tags", tag => new Pair(tag.Required("key", 255), tag.Text("value", 500) ?? ""));
            var dataset = input.Object("dataset", d => new DatasetInput(
                d.Required("name", 500), d.Required("digest", 36), d.Required("source_type"), d.Required("source", 65_535), d.Text("schema", 1_048_575), d.Text("profile", 16_777_215), tags));
            if (dataset is null) input.Required("dataset");
            return dataset!;
        });
        var models = call.Objects("models", model => new RunModel(model.Required("model_id", 64), IsOutput: false, 0));
        MlflowRules.Limit(call, "datasets", inputs.Count, 1_000);
        MlflowRules.Limit(call, "models", models.Count, 1_000);
        if (call.Wrong is { } wrong) return wrong;
        if (models.Count > 0 && (await call.Get<RunStore>().LogModelsAsync(call.Tenant, run, models, call.Aborted)).Refusal is { } refusal) return refusal;
        return ExperimentRoutes.Nothing(await call.Get<RunStore>().LogInputsAsync(call.Tenant, run, inputs, call.Aborted));
    }

    private static async Task<Result<object?>> LogOutputsAsync(MlflowCall call)
    {
        var run = MlflowRules.RunId(call);
        var models = call.Objects("models", model => new RunModel(model.Required("model_id", 64), IsOutput: true, model.Int64("step") ?? 0));
        MlflowRules.Limit(call, "models", models.Count, 1_000);
        if (call.Wrong is { } wrong) return wrong;
        return ExperimentRoutes.Nothing(await call.Get<RunStore>().LogModelsAsync(call.Tenant, run, models, call.Aborted));
    }

    private static async Task<Result<object?>> LogModelAsync(MlflowCall call)
    {
        var run = MlflowRules.RunId(call);
        var model = call.Required("model_json", 1_000_000);
        if (call.Wrong is { } wrong) return wrong;
        try
        {
            using var json = JsonDocument.Parse(model);
            string[] missing = json.RootElement.ValueKind is JsonValueKind.Object ? [.. new[] { "artifact_path", "utc_time_created", "flavors" }.Where(name => !json.RootElement.TryGetProperty(name, out _))] : ["all fields"];
            if (missing.Length > 0) return MlflowCall.Bad($"Model json is missing mandatory fields: {string.Join(", ", missing)}");
            if (model.Contains("\\u0000", StringComparison.OrdinalIgnoreCase)) return MlflowCall.Bad("Model json contains the character NUL.");
        }
        catch (JsonException)
        {
            return MlflowCall.Bad($"Malformed model info. \n {(model.Length > 200 ? model[..200] : model)} \n is not a valid JSON.");
        }

        return ExperimentRoutes.Nothing(await call.Get<RunStore>().LogModelAsync(call.Tenant, run, model, call.Aborted));
    }
}
