using System.Text;
using Platform.Kernel;
using Platform.Registry.Tracking;

namespace Platform.Registry.Mlflow;

/// <summary><c>experiments/…</c></summary>
internal static class ExperimentRoutes
{
    internal static void Map(MlflowRoutes.Table routes)
    {
        routes.Post("mlflow/experiments/create", Permissions.WriteRuns, "Create an experiment", CreateAsync);
        routes.Get("mlflow/experiments/get", Permissions.ReadRuns, "Get an experiment", GetAsync);
        routes.Get("mlflow/experiments/get-by-name", Permissions.ReadRuns, "Get an experiment by name", GetByNameAsync);
        routes.Post("mlflow/experiments/search", Permissions.ReadRuns, "Search experiments", SearchAsync);
        routes.Get("mlflow/experiments/search", Permissions.ReadRuns, "Search experiments", SearchAsync);
        routes.Post("mlflow/experiments/update", Permissions.WriteRuns, "Rename an experiment", UpdateAsync);
        routes.Post("mlflow/experiments/delete", Permissions.WriteRuns, "Delete an experiment", call => ChangeAsync(call, (e, tenant, id) => e.DeleteAsync(tenant, id, call.Aborted)));
        routes.Post("mlflow/experiments/restore", Permissions.WriteRuns, "Restore an experiment", call => ChangeAsync(call, (e, tenant, id) => e.RestoreAsync(tenant, id, call.Aborted)));
        routes.Post("mlflow/experiments/set-experiment-tag", Permissions.WriteRuns, "Set an experiment's tag", SetTagAsync);
        routes.Post("mlflow/experiments/delete-experiment-tag", Permissions.WriteRuns, "Delete an experiment's tag", DeleteTagAsync);
    }

    private static async Task<Result<object?>> CreateAsync(MlflowCall call)
    {
        var name = call.Required("name", MlflowRules.LongestName);
        var location = call.Text("artifact_location", 2_000);
        var tags = call.Objects("tags", MlflowRules.Tag);
        if (location is { Length: > 0 } && !location.StartsWith("mlflow-artifacts:/", StringComparison.Ordinal) && !(Uri.TryCreate(location, UriKind.Absolute, out var elsewhere) && elsewhere.Scheme is not ("file" or "runs" or "models")))
        {
            call.Refuse($"Invalid artifact location '{location}': leave it out to keep artifacts here, or name a remote store's address.");
        }

        if (call.Wrong is { } wrong) return wrong;
        var created = await call.Get<ExperimentStore>().CreateAsync(call.Tenant, name, location is { Length: > 0 } ? location : null, MlflowRules.Dictionary(tags), call.Aborted);
        return created.Refusal is { } refusal ? refusal : Result<object?>.Ok(new { ExperimentId = created.Value.Id.ToString() });
    }

    private static async Task<Result<object?>> GetAsync(MlflowCall call)
    {
        var id = MlflowRules.ExperimentId(call);
        if (call.Wrong is { } wrong) return wrong;
        return await call.Get<ExperimentStore>().FindAsync(call.Tenant, id, call.Aborted) is { } found ? Result<object?>.Ok(new { Experiment = MlflowJson.Of(found) }) : ExperimentStore.Missing(id.ToString());
    }

    private static async Task<Result<object?>> GetByNameAsync(MlflowCall call)
    {
        var name = call.Required("experiment_name");
        if (call.Wrong is { } wrong) return wrong;
        return await call.Get<ExperimentStore>().FindAsync(call.Tenant, name, call.Aborted) is { } found ? Result<object?>.Ok(new { Experiment = MlflowJson.Of(found) })
            : new Refusal(RefusalKind.NotFound, "RESOURCE_DOES_NOT_EXIST", $"Could not find experiment with name '{name}'", "experiment_name");
    }

    private static async Task<Result<object?>> SearchAsync(MlflowCall call)
    {
        var most = call.MaxResults(1_000, 50_000);
        var view = MlflowRules.View(call, "view_type");
        var filter = call.Take(SearchFilter.ParsePlain(call.Text("filter"), ["name"], ["creation_time", "last_update_time"]));
        var orders = call.Texts("order_by").Select(clause => call.Take(SearchFilter.ParsePlainOrder(clause, ["name", "experiment_id", "creation_time", "last_update_time"]))).ToArray();
        var page = call.Take(ListPage.Read(call.Text("page_token")));
        if (call.Wrong is { } wrong) return wrong;

        // One more than asked for tells whether there are more.
        var found = await call.Get<ExperimentStore>().SearchAsync(call.Tenant, view, filter!, orders!, page, most + 1, call.Aborted);
        return Result<object?>.Ok(new { Experiments = MlflowJson.Unless<object>([.. found.Take(most).Select(MlflowJson.Of)]), NextPageToken = found.Count > most ? ListPage.Token(page + most) : null });
    }

    private static async Task<Result<object?>> UpdateAsync(MlflowCall call)
    {
        var id = MlflowRules.ExperimentId(call);
        var name = call.Required("new_name", MlflowRules.LongestName);
        if (call.Wrong is { } wrong) return wrong;
        if (id == 0) return MlflowCall.Bad("The default experiment keeps its name.");
        var renamed = await call.Get<ExperimentStore>().RenameAsync(call.Tenant, id, name, call.Aborted);
        // A code of its own, as MLflow has it for this alone; there with the status 500, at which clients would try again.
        return renamed.Refusal is { Code: "INVALID_PARAMETER_VALUE", Field: "experiment_id" } ? Refusal.Invalid("INVALID_STATE", "Cannot rename a non-active experiment.", "experiment_id") : Nothing(renamed);
    }

    private static async Task<Result<object?>> SetTagAsync(MlflowCall call)
    {
        var id = MlflowRules.ExperimentId(call);
        var tag = MlflowRules.Tag(call);
        if (call.Wrong is { } wrong) return wrong;
        return Nothing(await call.Get<ExperimentStore>().SetTagAsync(call.Tenant, id, tag.Key, tag.Value, call.Aborted));
    }

    private static async Task<Result<object?>> DeleteTagAsync(MlflowCall call)
    {
        var id = MlflowRules.ExperimentId(call);
        var key = MlflowRules.Key(call, "tag");
        if (call.Wrong is { } wrong) return wrong;
        return Nothing(await call.Get<ExperimentStore>().DeleteTagAsync(call.Tenant, id, key, call.Aborted));
    }

    private static async Task<Result<object?>> ChangeAsync(MlflowCall call, Func<ExperimentStore, string, long, Task<Result<Done>>> change)
    {
        var id = MlflowRules.ExperimentId(call);
        if (call.Wrong is { } wrong) return wrong;
        if (id == 0) return MlflowCall.Bad("The default experiment is always there: it is neither deleted nor restored.");
        return Nothing(await change(call.Get<ExperimentStore>(), call.Tenant, id));
    }

    internal static Result<object?> Nothing<T>(Result<T> done) => done.Refusal is { } refusal ? refusal : Result<object?>.Ok(null);
}

/// <summary>Filters and orders over things that are few enough to be read whole: an experiment's logged models.</summary>
internal static class PlainSearch
{
    public static bool Matches(Comparison comparison, Func<string, object?> attribute, IReadOnlyDictionary<string, string> tags)
    {
        var value = comparison.Field is RunField.Tag ? tags.GetValueOrDefault(comparison.Key) : attribute(comparison.Key);
        return comparison.Comparator switch
        {
            Comparator.IsNull => value is null,
            Comparator.IsNotNull => value is not null,
            // Clients add this to every search for models: what is not marked as a prompt is none.
            _ when value is null => comparison is { Field: RunField.Tag, Key: "mlflow.prompt.is_prompt", Comparator: Comparator.NotEqual },
            Comparator.Like or Comparator.ILike => SearchFilter.IsLike((string)value, comparison.Texts[0], comparison.Comparator is Comparator.ILike),
            Comparator.In => comparison.Texts.Contains((string)value),
            Comparator.NotIn => !comparison.Texts.Contains((string)value),
            var comparator => Compares(comparator, value is string text ? string.CompareOrdinal(text, comparison.Texts is [var first, ..] ? first : null) : Convert.ToDouble(value).CompareTo(comparison.Number ?? double.NaN)),
        };
    }

    public static List<T> Sort<T>(IEnumerable<T> items, IReadOnlyList<OrderKey> orders, Func<T, string, object?> attribute, Func<T, IComparable> otherwise)
    {
        var sorted = items.Order(Comparer<T>.Create((one, other) =>
        {
            foreach (var order in orders)
            {
                var (a, b) = (attribute(one, order.Key), attribute(other, order.Key));
                // What is missing comes last either way.
                if (a is null || b is null)
                {
                    if (a is null && b is null) continue;
                    return a is null ? 1 : -1;
                }

                var compared = a is string text ? string.CompareOrdinal(text, b as string) : Comparer<object>.Default.Compare(a, b);
                if (compared != 0) return order.Descending ? -compared : compared;
            }

            var (x, y) = (otherwise(one), otherwise(other));
            return x is string left ? string.CompareOrdinal(left, y as string) : x.CompareTo(y);
        }));
        return [.. sorted];
    }

    private static bool Compares(Comparator comparator, int order) => comparator switch
    {
        Comparator.Equal => order == 0,
        Comparator.NotEqual => order != 0,
        Comparator.Less => order < 0,
        Comparator.LessOrEqual => order <= 0,
        Comparator.Greater => order > 0,
        _ => order >= 0,
    };
}

/// <summary>Pages of such a list: the token is how many came before.</summary>
internal static class ListPage
{
    public static Result<int> Read(string? token)
    {
        if (string.IsNullOrEmpty(token)) return 0;
        Span<byte> bytes = stackalloc byte[64];
        return token.Length < 80 && Convert.TryFromBase64String(token, bytes, out var length) && Encoding.UTF8.GetString(bytes[..length]) is var text
            && text.StartsWith("{\"offset\":", StringComparison.Ordinal) && int.TryParse(text["{\"offset\":".Length..].TrimEnd('}').Trim(), out var offset) && offset > 0
            ? offset : Refusal.Invalid("INVALID_PARAMETER_VALUE", "Invalid page token: it is not one of this search's.", "page_token");
    }

    public static (IReadOnlyList<T> Items, string? Next) Cut<T>(List<T> all, int offset, int most) =>
        ([.. all.Skip(offset).Take(most)], all.Count > offset + most ? Token(offset + most) : null);

    public static string Token(int offset) => Convert.ToBase64String(Encoding.UTF8.GetBytes($"{{\"offset\": {offset}}}"));
}
