using System.Globalization;
using Marten;
using MediatR;
using Platform.Kernel;
using Platform.Registry.Models;
using Platform.Registry.Tracking;

namespace Platform.Registry.Mlflow;

/// <summary><c>model-versions/…</c>: the platform's own versions, by MLflow's words.</summary>
internal static class ModelVersionRoutes
{
    internal static void Map(MlflowRoutes.Table routes)
    {
        routes.Post("mlflow/model-versions/create", Permissions.Write, "Add a version from a run's artifacts", CreateAsync);
        routes.Get("mlflow/model-versions/get", Permissions.Read, "Get a version", GetAsync);
        routes.Get("mlflow/model-versions/search", Permissions.Read, "Search versions", SearchAsync);
        routes.Get("mlflow/model-versions/get-download-uri", Permissions.Read, "Get where a version's files are", DownloadUriAsync);
        routes.Patch("mlflow/model-versions/update", Permissions.Write, "Describe a version", UpdateAsync);
        routes.Post("mlflow/model-versions/transition-stage", Permissions.Write, "Move a version to a stage", TransitionAsync);
        routes.Delete("mlflow/model-versions/delete", Permissions.Write, "Delete a version", DeleteAsync);
        routes.Post("mlflow/model-versions/set-tag", Permissions.Write, "Set a version's tag", SetTagAsync);
        routes.Delete("mlflow/model-versions/delete-tag", Permissions.Write, "Delete a version's tag", DeleteTagAsync);
    }

    public static int Number(MlflowCall call)
    {
        var text = call.RequiredId("version");
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)) return number;
        call.Refuse($"Model version must be an integer, got '{text}'");
        return 0;
    }

    public static string Stage(MlflowCall call, string given)
    {
        if (UpdateVersion.Stages.FirstOrDefault(s => s.Equals(given, StringComparison.OrdinalIgnoreCase)) is { } stage) return stage;
        call.Refuse($"Invalid Model Version stage: {given}. Value must be one of {string.Join(", ", UpdateVersion.Stages)}.");
        return given;
    }

    public static Refusal Missing(string name, int version) => new(RefusalKind.NotFound, "RESOURCE_DOES_NOT_EXIST", $"Model Version (name={name}, version={version}) not found", "version");

    public static object Shown(ModelVersion v, RegisteredModel model) => new
    {
        Name = v.Model,
        Version = v.Facts.Version.ToString(CultureInfo.InvariantCulture),
        CreationTimestamp = v.AddedAt.ToUnixTimeMilliseconds(),
        LastUpdatedTimestamp = (v.ChangedAt ?? v.AddedAt).ToUnixTimeMilliseconds(),
        UserId = v.Facts.Author,
        CurrentStage = v.Stage,
        v.Description,
        Source = v.Facts.Mlflow?.Source ?? $"platform:/models/{v.Model}/versions/{v.Facts.Version}",
        v.Facts.Mlflow?.RunId,
        v.Facts.Mlflow?.RunLink,
        v.Facts.Mlflow?.ModelId,
        Status = v.IsQuarantined ? "FAILED_REGISTRATION" : "READY",
        StatusMessage = v.IsQuarantined ? $"Quarantined: {v.Facts.Intake!.Why}" : v.Facts.Mlflow?.WhyNotServed is { } why ? $"Kept, and not served by the platform: {why}" : null,
        Tags = MlflowJson.Pairs(v.Tags),
        Aliases = MlflowJson.Unless(VersionView.AliasesOf(model, v)),
    };

    private static async Task<Result<object?>> CreateAsync(MlflowCall call)
    {
        var (name, source) = (RegisteredModelRoutes.Name(call), call.Required("source", Artifacts.LongestPath));
        var (run, link, model, description) = (call.Text("run_id", 256), call.Text("run_link", 500), call.Text("model_id", 64), call.Text("description", MlflowRules.LongestDescription));
        var tags = MlflowRules.Dictionary(call.Objects("tags", MlflowRules.RegistryTag));
        if (call.Wrong is { } wrong) return wrong;
        if (await call.Get<IDocumentSession>().FindModelAsync(name, call.Aborted) is null) return RegisteredModelRoutes.Missing(name);
        var made = await call.Get<VersionFromArtifacts>().MakeAsync(
            call.Context.Features.Get<Caller>()!, name, source, run is { Length: > 0 } ? run : null, link, model is { Length: > 0 } ? model : null, description, tags, call.Aborted);
        if (made.Refusal is { } refusal) return refusal;
        var number = 0;
        // The number is taken under the model's lock, so that two at once become two versions.
        var written = await RegisteredModelRoutes.WriteAsync(call, name, (registered, _) => ModelWrites.Events(made.Value with { Version = number = registered.LatestVersion + 1 }));
        return written.Refusal is { } gone ? gone : await ShownAsync(call, written.Value, number);
    }

    private static async Task<Result<object?>> GetAsync(MlflowCall call)
    {
        var found = await FindAsync(call);
        return found.Refusal is { } refusal ? refusal : Result<object?>.Ok(new { ModelVersion = Shown(found.Value.Version, found.Value.Model) });
    }

    private static async Task<Result<object?>> DownloadUriAsync(MlflowCall call)
    {
        var found = await FindAsync(call);
        if (found.Refusal is { } refusal) return refusal;
        var version = found.Value.Version;
        if (version.IsQuarantined) return Refusal.Conflict("RESOURCE_CONFLICT", $"Version {version.Facts.Version} of '{version.Model}' is quarantined and is not given out: {version.Facts.Intake!.Why}", "version");
        return version.Facts.Mlflow is { } origin ? Result<object?>.Ok(new { ArtifactUri = origin.Folder is { } folder ? $"mlflow-artifacts:/{folder}" : origin.Source })
            : MlflowCall.Bad($"Version {version.Facts.Version} of '{version.Model}' was not logged with MLflow. Its file is at /api/v1/registry/models/{version.Model}/versions/{version.Facts.Version}/artifact.");
    }

    private static async Task<Result<object?>> SearchAsync(MlflowCall call)
    {
        var most = call.MaxResults(10_000, 200_000);
        var filter = call.Take(SearchFilter.ParsePlain(call.Text("filter"), ModelSearch.VersionTexts, ModelSearch.VersionNumbers));
        var orders = call.Texts("order_by").Select(clause => call.Take(SearchFilter.ParsePlainOrder(clause, ModelSearch.VersionOrders))).ToArray();
        var token = call.Text("page_token");
        if (call.Wrong is { } wrong) return wrong;

        var session = call.Get<IQuerySession>();
        var page = await call.Get<ModelSearch>().VersionsAsync(call.Tenant, filter!, orders!, token, most, call.Aborted);
        if (page.Refusal is { } refusal) return refusal;
        var versions = await session.LoadInOrderAsync<ModelVersion>(page.Value.Keys, v => v.Id, call.Aborted);
        string[] keys = [.. versions.Select(v => RegisteredModel.Key(v.Model)).Distinct()];
        var models = (await session.LoadManyAsync<RegisteredModel>(call.Aborted, keys)).ToDictionary(m => m.Name);
        return Result<object?>.Ok(new { ModelVersions = MlflowJson.Unless<object>([.. versions.Where(v => models.ContainsKey(v.Model)).Select(v => Shown(v, models[v.Model]))]), NextPageToken = page.Value.Next });
    }

    private static Task<Result<object?>> UpdateAsync(MlflowCall call)
    {
        var description = call.Text("description", MlflowRules.LongestDescription);
        return ChangeAsync(call, (_, version, _) => ModelWrites.Events(new VersionDescribed(version.Facts.Version, description)));
    }

    private static Task<Result<object?>> TransitionAsync(MlflowCall call)
    {
        var (stage, archive) = (Stage(call, call.Required("stage")), call.Bool("archive_existing_versions"));
        if (archive && stage is not ("Staging" or "Production")) call.Refuse($"Model version transition cannot archive existing model versions because '{stage}' is not an Active stage. Valid stages are Staging and Production.");
        return ChangeAsync(call, async (model, version, session) =>
        {
            List<object> events = [new VersionStageChanged(version.Facts.Version, stage)];
            if (archive)
            {
                var name = model.Name;
                var others = await session.Query<ModelVersion>().Where(v => v.Model == name).ToListAsync(call.Aborted);
                events.AddRange(others.Where(v => v.Stage == stage && v.Facts.Version != version.Facts.Version).Select(v => new VersionStageChanged(v.Facts.Version, "Archived")));
            }

            return events;
        });
    }

    private static Task<Result<object?>> SetTagAsync(MlflowCall call)
    {
        var tag = MlflowRules.RegistryTag(call);
        return ChangeAsync(call, (_, version, _) => ModelWrites.Events(new VersionTagsChanged(version.Facts.Version, new Dictionary<string, string>(version.Tags) { [tag.Key] = tag.Value })), empty: true);
    }

    private static Task<Result<object?>> DeleteTagAsync(MlflowCall call)
    {
        var key = MlflowRules.Key(call, "tag");
        return ChangeAsync(call, (_, version, _) => version.Tags.ContainsKey(key)
            ? ModelWrites.Events(new VersionTagsChanged(version.Facts.Version, version.Tags.Where(t => t.Key != key).ToDictionary())) : ModelWrites.Events(), empty: true);
    }

    private static async Task<Result<object?>> DeleteAsync(MlflowCall call)
    {
        var (name, number) = (RegisteredModelRoutes.Name(call), Number(call));
        if (call.Wrong is { } wrong) return wrong;
        var deleted = await call.Get<IMediator>().Send(new DeleteVersion.Command(name, number), call.Aborted);
        return deleted.Refusal switch
        {
            { Code: "no-such-model" } => RegisteredModelRoutes.Missing(name),
            { Code: "no-such-model-version" } => Missing(name, number),
            _ => ExperimentRoutes.Nothing(deleted),
        };
    }

    /// <summary>Writes to a version under its model's lock and shows it, unless the answer is to be empty.</summary>
    private static async Task<Result<object?>> ChangeAsync(MlflowCall call, Func<RegisteredModel, ModelVersion, IDocumentSession, Task<Result<IReadOnlyList<object>>>> decide, bool empty = false)
    {
        var (name, number) = (RegisteredModelRoutes.Name(call), Number(call));
        if (call.Wrong is { } wrong) return wrong;
        var written = await RegisteredModelRoutes.WriteAsync(call, name, async (model, session) =>
            await session.LoadAsync<ModelVersion>(ModelVersion.Key(name, number), call.Aborted) is { } version ? await decide(model, version, session) : Missing(name, number));
        return written.Refusal is { } refusal ? refusal : empty ? Result<object?>.Ok(null) : await ShownAsync(call, written.Value, number);
    }

    private static async Task<Result<(RegisteredModel Model, ModelVersion Version)>> FindAsync(MlflowCall call)
    {
        var (name, number) = (RegisteredModelRoutes.Name(call), Number(call));
        if (call.Wrong is { } wrong) return wrong;
        var session = call.Get<IQuerySession>();
        if (await session.FindModelAsync(name, call.Aborted) is not { } model) return RegisteredModelRoutes.Missing(name);
        return await session.LoadAsync<ModelVersion>(ModelVersion.Key(name, number), call.Aborted) is { } version ? (model, version) : Missing(name, number);
    }

    private static async Task<Result<object?>> ShownAsync(MlflowCall call, RegisteredModel model, int number)
    {
        var version = await call.Get<IDocumentSession>().LoadAsync<ModelVersion>(ModelVersion.Key(model.Name, number), call.Aborted);
        return Result<object?>.Ok(new { ModelVersion = Shown(version!, model) });
    }
}
