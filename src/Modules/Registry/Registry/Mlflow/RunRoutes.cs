using Platform.Kernel;
using Platform.Registry.Tracking;

namespace Platform.Registry.Mlflow;

/// <summary><c>runs/…</c>: the runs themselves and the search for them. What is logged into them is in <see cref="LogRoutes"/>.</summary>
internal static class RunRoutes
{
    private static readonly string[] Statuses = ["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"];

    internal static void Map(MlflowRoutes.Table routes)
    {
        routes.Post("mlflow/runs/create", Permissions.WriteRuns, "Begin a run", CreateAsync);
        routes.Get("mlflow/runs/get", Permissions.ReadRuns, "Get a run", GetAsync);
        routes.Post("mlflow/runs/update", Permissions.WriteRuns, "Update a run", UpdateAsync);
        routes.Post("mlflow/runs/delete", Permissions.WriteRuns, "Delete a run", call => SetDeletedAsync(call, true));
        routes.Post("mlflow/runs/restore", Permissions.WriteRuns, "Restore a run", call => SetDeletedAsync(call, false));
        routes.Post("mlflow/runs/search", Permissions.ReadRuns, "Search runs", SearchAsync);
    }

    private static async Task<Result<object?>> CreateAsync(MlflowCall call)
    {
        var experiment = call.Has("experiment_id") ? MlflowRules.ExperimentId(call) : 0;
        var (user, start, given) = (call.Text("user_id", MlflowRules.LongestName) ?? "", call.Int64("start_time") ?? 0, call.Text("run_name", MlflowRules.LongestTag));
        var tags = call.Objects("tags", MlflowRules.RunTag);
        var tagged = tags.LastOrDefault(t => t.Key == RunStore.NameTag)?.Value;
        if (given is { Length: > 0 } && tagged is not null && tagged != given)
        {
            call.Refuse($"Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values (run_name='{given}', mlflow.runName='{tagged}').");
        }

        if (call.Wrong is { } wrong) return wrong;
        // Ids are of version 7, whose beginning is the time: runs that are begun together lie together.
        var id = Guid.CreateVersion7(call.Get<TimeProvider>().GetUtcNow());
        var name = given is { Length: > 0 } ? given : tagged is { Length: > 0 } ? tagged : RunNames.For(id);
        if (tagged is null or "") tags.Add(new(RunStore.NameTag, name));
        // The experiment 0 is made when it is first looked for.
        if (experiment == 0) await call.Get<ExperimentStore>().FindAsync(call.Tenant, 0, call.Aborted);
        var created = await call.Get<RunStore>().CreateAsync(call.Tenant, experiment, id, name, user, start, tags, call.Aborted);
        return created.Refusal is { } refusal ? refusal : Result<object?>.Ok(new { Run = MlflowJson.Of(created.Value) });
    }

    private static async Task<Result<object?>> GetAsync(MlflowCall call)
    {
        var id = MlflowRules.RunId(call);
        if (call.Wrong is { } wrong) return wrong;
        return await call.Get<RunStore>().FindAsync(call.Tenant, id, call.Aborted) is { } run ? Result<object?>.Ok(new { Run = MlflowJson.Of(run) }) : RunStore.Missing(id);
    }

    private static async Task<Result<object?>> UpdateAsync(MlflowCall call)
    {
        var id = MlflowRules.RunId(call);
        var (status, end, name) = (call.Text("status"), call.Int64("end_time"), call.Text("run_name", MlflowRules.LongestTag));
        if (status is not null && !Statuses.Contains(status)) call.Refuse($"Invalid value '{status}' for parameter 'status' supplied: it is one of {string.Join(", ", Statuses)}.");
        if (call.Wrong is { } wrong) return wrong;
        var updated = await call.Get<RunStore>().UpdateAsync(call.Tenant, id, status, end, name is { Length: > 0 } ? name : null, call.Aborted);
        return updated.Refusal is { } refusal ? refusal : Result<object?>.Ok(new { RunInfo = MlflowJson.Of(updated.Value) });
    }

    private static async Task<Result<object?>> SetDeletedAsync(MlflowCall call, bool deleted)
    {
        var id = MlflowRules.RunId(call);
        if (call.Wrong is { } wrong) return wrong;
        return ExperimentRoutes.Nothing(await call.Get<RunStore>().SetDeletedAsync(call.Tenant, id, deleted, call.Aborted));
    }

    private static async Task<Result<object?>> SearchAsync(MlflowCall call)
    {
        var most = call.MaxResults(1_000, 50_000);
        // An id that is no number is no experiment's, and another's runs are none of ours: neither is a mistake.
        long[] experiments = [.. call.Texts("experiment_ids").Select(text => long.TryParse(text, out var id) ? id : -1).Where(id => id >= 0).Distinct()];
        var view = MlflowRules.View(call, "run_view_type");
        var filter = call.Take(SearchFilter.Parse(call.Text("filter", 100_000))) ?? [];
        var order = Distinct(call.Texts("order_by").Select(clause => call.Take(SearchFilter.ParseOrder(clause))).OfType<OrderKey>());
        var after = call.Take(RunToken.Read(call.Text("page_token"), order)) ?? RunToken.Start;
        if (filter.Count > 50 || order.Count > 20) call.Refuse("A search takes at most 50 comparisons and 20 order_by clauses.");
        if (call.Wrong is { } wrong) return wrong;
        var page = await call.Get<RunSearch>().SearchAsync(call.Tenant, experiments, view, filter, order, most, after, call.Aborted);
        return Result<object?>.Ok(new { Runs = MlflowJson.Unless<object>([.. page.Runs.Select(MlflowJson.Of)]), NextPageToken = page.Next });
    }

    /// <summary>A key that comes again changes nothing; after the start time itself, the default order's start time would.</summary>
    private static List<OrderKey> Distinct(IEnumerable<OrderKey> keys) => [.. keys.DistinctBy(k => (k.Field, k.Key))];
}
