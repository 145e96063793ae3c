using Platform.Kernel;
using Platform.Registry.Tracking;

namespace Platform.Registry.Mlflow;

/// <summary><c>logged-models/…</c>: models as MLflow 3 logs them. A metric that is logged with a model's id is the run's and the model's.</summary>
internal static class LoggedModelRoutes
{
    private const int LongestType = 500;
    private static readonly string[] Ends = ["LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"];

    internal static void Map(MlflowRoutes.Table routes)
    {
        routes.Post("mlflow/logged-models", Permissions.WriteRuns, "Begin to log a model", CreateAsync);
        routes.Post("mlflow/logged-models/search", Permissions.ReadRuns, "Search logged models", SearchAsync);
        routes.Get("mlflow/logged-models/{modelId}", Permissions.ReadRuns, "Get a logged model", GetAsync);
        routes.Patch("mlflow/logged-models/{modelId}", Permissions.WriteRuns, "End the logging of a model", FinishAsync);
        routes.Delete("mlflow/logged-models/{modelId}", Permissions.WriteRuns, "Delete a logged model", DeleteAsync);
        routes.Patch("mlflow/logged-models/{modelId}/tags", Permissions.WriteRuns, "Set a logged model's tags", SetTagsAsync);
        routes.Delete("mlflow/logged-models/{modelId}/tags/{key}", Permissions.WriteRuns, "Delete a logged model's tag", DeleteTagAsync);
        routes.Post("mlflow/logged-models/{modelId}/params", Permissions.WriteRuns, "Add to a logged model's parameters", AddParamsAsync);
        routes.Get("mlflow/logged-models/{modelId}/artifacts/directories", Permissions.ReadRuns, "List a logged model's files", ListAsync);
    }

    private static async Task<Result<object?>> CreateAsync(MlflowCall call)
    {
        var experiment = MlflowRules.ExperimentId(call);
        var (name, type, run) = (call.Text("name", MlflowRules.LongestName), call.Text("model_type", LongestType), call.Text("source_run_id", 256));
        var (parameters, tags) = (call.Objects("params", MlflowRules.Param), call.Objects("tags", MlflowRules.Tag));
        if (name is not null && name.Any(letter => letter is '/' or ':' or '.' or '%' or '"' or '\'')) call.Refuse($"Invalid model name ({name}) provided. Model name must be a non-empty string and cannot contain the following characters: ('/', ':', '.', '%', '\"', \"'\").");
        if (call.Wrong is { } wrong) return wrong;
        if (experiment == 0) await call.Get<ExperimentStore>().FindAsync(call.Tenant, 0, call.Aborted);
        return await ShownAsync(call, await call.Get<LoggedModelStore>().CreateAsync(
            call.Tenant, experiment, name is { Length: > 0 } ? name : RunNames.For(Guid.NewGuid()), type, run, MlflowRules.Dictionary(parameters), MlflowRules.Dictionary(tags), call.Aborted));
    }

    private static async Task<Result<object?>> GetAsync(MlflowCall call) =>
        await call.Get<LoggedModelStore>().FindAsync(call.Tenant, Id(call), call.Aborted) is { } model && (!model.Deleted || call.Bool("allow_deleted")) ? await ShownAsync(call, model) : LoggedModelStore.Missing(Id(call));

    private static async Task<Result<object?>> SearchAsync(MlflowCall call)
    {
        // Nought is what a client sends that asks for no number.
        var most = call.Int64("max_results") is 0 ? 100 : call.MaxResults(100, 1_000);
        long[] experiments = [.. call.Texts("experiment_ids").Select(text => long.TryParse(text, out var id) ? id : -1).Where(id => id >= 0).Distinct()];
        string[] texts = ["name", "model_id", "model_type", "status", "source_run_id", "experiment_id", "artifact_location"], numbers = ["creation_timestamp", "creation_time", "last_updated_timestamp", "last_updated_time"];
        var filter = call.Take(SearchFilter.ParsePlain(call.Text("filter"), texts, numbers, logged: true)) ?? [];
        var orders = call.Objects("order_by", key => (Order: key.Take(SearchFilter.ParsePlainOrder(key.Required("field_name"), [.. texts, .. numbers], logged: true)) is { } order
            ? order with { Descending = key.Has("ascending") && !key.Bool("ascending") } : null, On: new LoggedOn(key.Text("dataset_name") ?? "", key.Text("dataset_digest"))));
        var datasets = call.Objects("datasets", dataset => new LoggedOn(dataset.Required("dataset_name"), dataset.Text("dataset_digest") is { Length: > 0 } digest ? digest : null));
        if (filter.Any(c => c is { Field: RunField.Metric, Comparator: > Comparator.GreaterOrEqual })) call.Refuse("Invalid comparison operator: a number is compared with >, >=, =, !=, <, <=.");
        MlflowRules.Limit(call, "comparisons, datasets and order_by clauses", filter.Count + datasets.Count + orders.Count, 100);
        var page = call.Take(ListPage.Read(call.Text("page_token")));
        if (call.Wrong is { } wrong) return wrong;
        var logged = call.Get<LoggedModelStore>();
        var found = await logged.ListAsync(call.Tenant, experiments, [.. filter.Where(c => c.Field is RunField.Metric)], datasets, call.Aborted);
        var matching = found.Where(m => filter.Where(c => c.Field is not RunField.Metric).All(c => c.Field is RunField.Param
            ? PlainSearch.Matches(c with { Field = RunField.Tag }, _ => null, m.Params) : PlainSearch.Matches(c, key => Attribute(m, key), m.Tags))).ToList();
        // A metric is sorted by under a name of its own, because the same one may come twice, on two datasets.
        Dictionary<string, Dictionary<string, double>> values = [];
        List<OrderKey> keys = [];
        foreach (var (order, on) in orders.Where(o => o.Order is not null))
        {
            if (order!.Field is RunField.Metric)
            {
                var name = $"metrics {values.Count}";
                values[name] = (await logged.MetricsAsync(call.Tenant, [.. matching.Select(m => m.Id)], order.Key, call.Aborted)).Select(of => of
                        .Where(m => (on.Name.Length == 0 || m.DatasetName == on.Name) && (on.Digest is not { Length: > 0 } || m.DatasetDigest == on.Digest)).MaxBy(m => (m.Metric.Timestamp, m.Metric.Step)))
                    .OfType<ModelMetric>().ToDictionary(m => m.ModelId, m => m.Metric.Value);
                keys.Add(order with { Key = name });
            }
            else
            {
                keys.Add(order);
            }
        }

        var sorted = PlainSearch.Sort(matching, keys, (m, key) => values.TryGetValue(key, out var of) ? of.TryGetValue(m.Id, out var value) ? value : null : Attribute(m, key), m => -m.CreatedAt);
        var (items, next) = ListPage.Cut(sorted, page, most);
        var metrics = await logged.MetricsAsync(call.Tenant, [.. items.Select(m => m.Id)], null, call.Aborted);
        return Result<object?>.Ok(new { Models = MlflowJson.Unless<object>([.. items.Select(m => Of(m, metrics[m.Id]))]), NextPageToken = next });

        static object? Attribute(LoggedModel m, string key) => key switch
        {
            "name" => m.Name,
            "model_id" => m.Id,
            // What was not given is the empty text, which differs from any other.
            "model_type" => m.ModelType ?? "",
            "status" => m.Status["LOGGED_MODEL_".Length..],
            "source_run_id" => m.SourceRunId ?? "",
            "experiment_id" => m.ExperimentId.ToString(),
            "artifact_location" => m.ArtifactUri,
            "creation_timestamp" or "creation_time" => m.CreatedAt,
            _ => m.UpdatedAt,
        };
    }

    private static async Task<Result<object?>> FinishAsync(MlflowCall call)
    {
        var status = call.Required("status");
        if (!Ends.Contains(status)) call.Refuse($"Invalid model status: {status}. Expected status to be one of {string.Join(", ", Ends)}.");
        if (call.Wrong is { } wrong) return wrong;
        // What the body names counts, as clients of proxied hosts do it; they agree otherwise.
        return await ShownAsync(call, await call.Get<LoggedModelStore>().FinishAsync(call.Tenant, call.Text("model_id") is { Length: > 0 } named ? named : Id(call), status, call.Aborted));
    }

    private static async Task<Result<object?>> DeleteAsync(MlflowCall call) => ExperimentRoutes.Nothing(await call.Get<LoggedModelStore>().DeleteAsync(call.Tenant, Id(call), call.Aborted));

    private static async Task<Result<object?>> SetTagsAsync(MlflowCall call)
    {
        var tags = call.Objects("tags", MlflowRules.Tag);
        if (call.Wrong is { } wrong) return wrong;
        return await ShownAsync(call, await call.Get<LoggedModelStore>().SetTagsAsync(call.Tenant, Id(call), MlflowRules.Dictionary(tags), call.Aborted));
    }

    private static async Task<Result<object?>> DeleteTagAsync(MlflowCall call) =>
        ExperimentRoutes.Nothing(await call.Get<LoggedModelStore>().DeleteTagAsync(call.Tenant, Id(call), (string)call.Context.Request.RouteValues["key"]!, call.Aborted));

    private static async Task<Result<object?>> AddParamsAsync(MlflowCall call)
    {
        var parameters = call.Objects("params", MlflowRules.Param);
        MlflowRules.Once(call, parameters);
        if (call.Wrong is { } wrong) return wrong;
        return ExperimentRoutes.Nothing(await call.Get<LoggedModelStore>().AddParamsAsync(call.Tenant, Id(call), MlflowRules.Dictionary(parameters), call.Aborted));
    }

    private static async Task<Result<object?>> ListAsync(MlflowCall call)
    {
        var path = (call.Text("artifact_directory_path") ?? "").TrimEnd('/');
        if (path.Length > 0 && !Artifacts.IsSound(path)) call.Refuse("Invalid path");
        if (call.Wrong is { } wrong) return wrong;
        if (await call.Get<LoggedModelStore>().FindAsync(call.Tenant, Id(call), call.Aborted) is not { Deleted: false } model) return LoggedModelStore.Missing(Id(call));
        if (ArtifactRoutes.FolderOf(model.ArtifactUri) is not { } root) return MlflowCall.Bad($"The model's files are not here but at {model.ArtifactUri}.");
        var files = await call.Get<Artifacts>().ListAsync(call.Tenant, path.Length == 0 ? root : $"{root}/{path}", call.Aborted);
        return Result<object?>.Ok(new
        {
            RootUri = model.ArtifactUri,
            Files = MlflowJson.Unless<object>([.. files.Select(f => new { Path = path.Length == 0 ? f.Name : $"{path}/{f.Name}", IsDir = f.Bytes is null, FileSize = f.Bytes })]),
        });
    }

    private static string Id(MlflowCall call) => (string)call.Context.Request.RouteValues["modelId"]!;

    private static async Task<Result<object?>> ShownAsync(MlflowCall call, Result<LoggedModel> model) => model.Refusal is { } refusal ? refusal
        : Result<object?>.Ok(new { Model = Of(model.Value, (await call.Get<LoggedModelStore>().MetricsAsync(call.Tenant, [model.Value.Id], null, call.Aborted))[model.Value.Id]) });

    private static object Of(LoggedModel m, IEnumerable<ModelMetric> metrics) => new
    {
        Info = new
        {
            ModelId = m.Id,
            ExperimentId = m.ExperimentId.ToString(),
            m.Name,
            CreationTimestampMs = m.CreatedAt,
            LastUpdatedTimestampMs = m.UpdatedAt,
            m.ArtifactUri,
            m.Status,
            m.ModelType,
            m.SourceRunId,
            Tags = MlflowJson.Pairs(m.Tags),
        },
        Data = new
        {
            Params = MlflowJson.Pairs(m.Params),
            Metrics = MlflowJson.Unless<object>([.. metrics.Select(x => new
            {
                x.Metric.Key,
                x.Metric.Value,
                x.Metric.Timestamp,
                x.Metric.Step,
                DatasetName = x.DatasetName.Length > 0 ? x.DatasetName : null,
                DatasetDigest = x.DatasetDigest.Length > 0 ? x.DatasetDigest : null,
                x.ModelId,
                RunId = x.RunId.ToString("N"),
            })]),
        },
    };
}
