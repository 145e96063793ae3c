using JasperFx;
using JasperFx.Events;
using Marten;
using MediatR;
using Platform.Kernel;
using Platform.Registry.Models;
using Platform.Registry.Retention;
using Platform.Registry.Tracking;

namespace Platform.Registry.Mlflow;

/// <summary><c>registered-models/…</c>: the platform's own models, by MLflow's words.</summary>
internal static class RegisteredModelRoutes
{
    internal static void Map(MlflowRoutes.Table routes)
    {
        routes.Post("mlflow/registered-models/create", Permissions.Write, "Register a model", CreateAsync);
        routes.Get("mlflow/registered-models/get", Permissions.Read, "Get a model", GetAsync);
        routes.Get("mlflow/registered-models/search", Permissions.Read, "Search models", SearchAsync);
        routes.Patch("mlflow/registered-models/update", Permissions.Write, "Describe a model", UpdateAsync);
        routes.Post("mlflow/registered-models/rename", Permissions.Write, "Rename a model", RenameAsync);
        routes.Delete("mlflow/registered-models/delete", Permissions.Write, "Delete a model", DeleteAsync);
        routes.Post("mlflow/registered-models/set-tag", Permissions.Write, "Set a model's tag", SetTagAsync);
        routes.Delete("mlflow/registered-models/delete-tag", Permissions.Write, "Delete a model's tag", DeleteTagAsync);
        routes.Post("mlflow/registered-models/alias", Permissions.Write, "Point an alias at a version", SetAliasAsync);
        routes.Get("mlflow/registered-models/alias", Permissions.Read, "Get the version of an alias", GetByAliasAsync);
        routes.Delete("mlflow/registered-models/alias", Permissions.Write, "Remove an alias", DeleteAliasAsync);
        routes.Post("mlflow/registered-models/get-latest-versions", Permissions.Read, "Get the latest version of each stage", LatestAsync);
        routes.Get("mlflow/registered-models/get-latest-versions", Permissions.Read, "Get the latest version of each stage", LatestAsync);
    }

    /// <summary>A model's name. It stands in addresses and in the keys of versions, so what would cut those apart is refused.</summary>
    public static string Name(MlflowCall call, string parameter = "name")
    {
        var name = call.Required(parameter, 256);
        if (name.Any(letter => letter is '/' or ':' or '\\' || char.IsControl(letter)) || name is "." or "..") call.Refuse($"Invalid model name: '{name}'. It may not contain '/', ':' or '\\'.");
        return name;
    }

    /// <summary>The name of a model that is to be. One of blanks alone would be read as none.</summary>
    private static string NewName(MlflowCall call, string parameter = "name")
    {
        var name = Name(call, parameter);
        if (string.IsNullOrWhiteSpace(name)) call.Refuse($"Missing value for required parameter '{parameter}'.");
        return name;
    }

    public static Refusal Missing(string name) => new(RefusalKind.NotFound, "RESOURCE_DOES_NOT_EXIST", $"Registered Model with name={name} not found", "name");

    /// <summary>Writes to a model: reads it under its lock, has the events decided, and saves them.</summary>
    public static async Task<Result<RegisteredModel>> WriteAsync(MlflowCall call, string name, Func<RegisteredModel, IDocumentSession, Task<Result<IReadOnlyList<object>>>> decide)
    {
        var session = call.Get<IDocumentSession>();
        var written = await session.WriteModelAsync(name, model => decide(model, session), call.Aborted);
        return written.Refusal is { Code: "no-such-model" } ? Missing(name) : written;
    }

    /// <summary>A model with the latest version of each stage.</summary>
    public static object Shown(RegisteredModel model, IEnumerable<ModelVersion> versions) => new
    {
        model.Name,
        CreationTimestamp = model.RegisteredAt.ToUnixTimeMilliseconds(),
        LastUpdatedTimestamp = (model.ChangedAt ?? model.RegisteredAt).ToUnixTimeMilliseconds(),
        UserId = model.RegisteredBy,
        model.Description,
        LatestVersions = MlflowJson.Unless<object>([.. Latest(versions).Select(v => ModelVersionRoutes.Shown(v, model))]),
        Tags = MlflowJson.Pairs(model.Tags),
        Aliases = MlflowJson.Unless<object>([.. model.Aliases.OrderBy(a => a.Key, StringComparer.Ordinal).Select(a => new { Alias = a.Key, Version = a.Value.ToString() })]),
    };

    private static IEnumerable<ModelVersion> Latest(IEnumerable<ModelVersion> versions) => versions.GroupBy(v => v.Stage).Select(stage => stage.MaxBy(v => v.Facts.Version)!).OrderBy(v => v.Facts.Version);

    private static async Task<Result<object?>> CreateAsync(MlflowCall call)
    {
        var (name, description) = (NewName(call), call.Text("description", MlflowRules.LongestDescription));
        var tags = MlflowRules.Dictionary(call.Objects("tags", MlflowRules.RegistryTag));
        if (call.Wrong is { } wrong) return wrong;
        var session = call.Get<IDocumentSession>();
        var exists = Refusal.Conflict("RESOURCE_ALREADY_EXISTS", $"Registered Model (name={name}) already exists.", "name");
        try
        {
            var stream = await session.FetchForRegisteringAsync(name, call.Aborted);
            if (stream.Aggregate is { Deleted: false }) return exists;
            stream.AppendOne(new ModelRegistered(description));
            if (tags.Count > 0) stream.AppendOne(new ModelTagsChanged(tags));
            await session.SaveChangesAsync(call.Aborted);
        }
        catch (Exception raced) when (raced is ConcurrencyException or EventStreamUnexpectedMaxEventIdException or ExistingStreamIdCollisionException or Marten.Exceptions.ExistingStreamIdCollisionException)
        {
            return exists;
        }

        return await ShownAsync(call, (await session.FindModelAsync(name, call.Aborted))!);
    }

    private static async Task<Result<object?>> GetAsync(MlflowCall call)
    {
        var name = Name(call);
        if (call.Wrong is { } wrong) return wrong;
        var session = call.Get<IQuerySession>();
        return await session.FindModelAsync(name, call.Aborted) is { } model ? await ShownAsync(call, model) : Missing(name);
    }

    private static async Task<Result<object?>> SearchAsync(MlflowCall call)
    {
        var most = call.MaxResults(100, 1_000);
        var filter = call.Take(SearchFilter.ParsePlain(call.Text("filter"), ModelSearch.ModelTexts, []));
        var orders = call.Texts("order_by").Select(clause => call.Take(SearchFilter.ParsePlainOrder(clause, ModelSearch.ModelOrders))).ToArray();
        var token = call.Text("page_token");
        if (call.Wrong is { } wrong) return wrong;

        var page = await call.Get<ModelSearch>().ModelsAsync(call.Tenant, filter!, orders!, token, most, call.Aborted);
        if (page.Refusal is { } refusal) return refusal;
        var models = await call.Get<IQuerySession>().LoadInOrderAsync<RegisteredModel>(page.Value.Keys, m => m.Id, call.Aborted);
        var versions = (await LatestOfAsync(call, [.. models.Select(m => m.Name)])).ToLookup(v => v.Model);
        return Result<object?>.Ok(new { RegisteredModels = MlflowJson.Unless<object>([.. models.Select(m => Shown(m, versions[m.Name]))]), NextPageToken = page.Value.Next });
    }

    private static async Task<Result<object?>> UpdateAsync(MlflowCall call)
    {
        var (name, description) = (Name(call), call.Text("description", MlflowRules.LongestDescription));
        if (call.Wrong is { } wrong) return wrong;
        return await ShownAsync(call, await WriteAsync(call, name, (_, _) => ModelWrites.Events(new ModelDescribed(description))));
    }

    /// <summary>The versions go along with their numbers; the old name is free.</summary>
    private static async Task<Result<object?>> RenameAsync(MlflowCall call)
    {
        var (name, to) = (Name(call), NewName(call, "new_name"));
        if (call.Wrong is { } wrong) return wrong;
        if (name == to) return await call.Get<IQuerySession>().FindModelAsync(name, call.Aborted) is { } same ? await ShownAsync(call, same) : Missing(name);
        var renamed = await UpdateModel.RenameAsync(call.Get<IDocumentSession>(), call.Get<IMediator>(), call.Get<RetentionStore>(), call.Tenant, name, to, call.Aborted);
        return renamed.Refusal switch
        {
            { Code: "no-such-model" } => Missing(name),
            { Code: "model-exists" } => Refusal.Conflict("RESOURCE_ALREADY_EXISTS", $"Registered Model (name={to}) already exists, or did and its version numbers are taken.", "new_name"),
            _ => await ShownAsync(call, renamed),
        };
    }

    private static async Task<Result<object?>> DeleteAsync(MlflowCall call)
    {
        var name = Name(call);
        if (call.Wrong is { } wrong) return wrong;
        var deleted = await call.Get<IMediator>().Send(new DeleteModel.Command(name), call.Aborted);
        return deleted.Refusal is { Code: "no-such-model" } ? Missing(name) : ExperimentRoutes.Nothing(deleted);
    }

    private static async Task<Result<object?>> SetTagAsync(MlflowCall call)
    {
        var (name, tag) = (Name(call), MlflowRules.RegistryTag(call));
        if (call.Wrong is { } wrong) return wrong;
        return ExperimentRoutes.Nothing(await WriteAsync(call, name, (model, _) => ModelWrites.Events(new ModelTagsChanged(new Dictionary<string, string>(model.Tags) { [tag.Key] = tag.Value }))));
    }

    private static async Task<Result<object?>> DeleteTagAsync(MlflowCall call)
    {
        var (name, key) = (Name(call), MlflowRules.Key(call, "tag"));
        if (call.Wrong is { } wrong) return wrong;
        return ExperimentRoutes.Nothing(await WriteAsync(call, name, (model, _) => model.Tags.ContainsKey(key) ? ModelWrites.Events(new ModelTagsChanged(model.Tags.Where(t => t.Key != key).ToDictionary())) : ModelWrites.Events()));
    }

    /// <summary>Governance's gate holds here as everywhere.</summary>
    private static async Task<Result<object?>> SetAliasAsync(MlflowCall call)
    {
        var (name, alias, version) = (Name(call), Alias(call), ModelVersionRoutes.Number(call));
        if (call.Wrong is { } wrong) return wrong;
        var moved = await SetAlias.Handler.MoveAsync(call.Get<IDocumentSession>(), call.Get<IMediator>(), new(name, alias, version), call.Aborted);
        return moved.Refusal switch
        {
            null => Result<object?>.Ok(null),
            { Code: "no-such-model" } => Missing(name),
            { Code: "no-such-model-version" } => ModelVersionRoutes.Missing(name, version),
            { Code: "approval-required" } gate => gate with { Kind = RefusalKind.Forbidden, Code = "PERMISSION_DENIED" },
            var other => other,
        };
    }

    private static async Task<Result<object?>> GetByAliasAsync(MlflowCall call)
    {
        var (name, alias) = (Name(call), AliasName(call));
        if (call.Wrong is { } wrong) return wrong;
        var session = call.Get<IQuerySession>();
        if (await session.FindModelAsync(name, call.Aborted) is not { } model) return Missing(name);
        if (model.Aliases.TryGetValue(alias, out var number))
        {
            var version = await session.LoadAsync<ModelVersion>(ModelVersion.Key(name, number), call.Aborted);
            return version is null ? ModelVersionRoutes.Missing(name, number) : Result<object?>.Ok(new { ModelVersion = ModelVersionRoutes.Shown(version, model) });
        }

        if (!IsLatest(alias)) return MlflowCall.Bad($"Registered model alias {alias} not found.");
        return (await LatestOfAsync(call, name)).MaxBy(v => v.Facts.Version) is { } latest ? Result<object?>.Ok(new { ModelVersion = ModelVersionRoutes.Shown(latest, model) })
            : new Refusal(RefusalKind.NotFound, "RESOURCE_DOES_NOT_EXIST", $"Latest version not found for model {name}.", "alias");
    }

    private static async Task<Result<object?>> DeleteAliasAsync(MlflowCall call)
    {
        var (name, alias) = (Name(call), Alias(call));
        if (call.Wrong is { } wrong) return wrong;
        return ExperimentRoutes.Nothing(await WriteAsync(call, name, (model, _) => model.Aliases.ContainsKey(alias) ? ModelWrites.Events(new ModelAliasRemoved(alias)) : ModelWrites.Events()));
    }

    private static async Task<Result<object?>> LatestAsync(MlflowCall call)
    {
        var name = Name(call);
        string[] stages = [.. call.Texts("stages").Select(stage => ModelVersionRoutes.Stage(call, stage))];
        if (call.Wrong is { } wrong) return wrong;
        if (await call.Get<IQuerySession>().FindModelAsync(name, call.Aborted) is not { } model) return Missing(name);
        return Result<object?>.Ok(new { ModelVersions = MlflowJson.Unless<object>([.. Latest(await LatestOfAsync(call, name)).Where(v => stages.Length == 0 || stages.Contains(v.Stage)).Select(v => ModelVersionRoutes.Shown(v, model))]) });
    }

    private static string AliasName(MlflowCall call)
    {
        var alias = call.Required("alias", 255);
        if (alias.Any(letter => !(char.IsLetterOrDigit(letter) || letter is '_' or '-'))) call.Refuse($"Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_), and dashes (-).");
        return alias;
    }

    /// <summary>What every model has without an alias: the version added last.</summary>
    private static bool IsLatest(string alias) => alias.Equals("latest", StringComparison.OrdinalIgnoreCase);

    /// <summary>An alias to set or take away.</summary>
    private static string Alias(MlflowCall call)
    {
        var alias = AliasName(call);
        if (IsLatest(alias)) call.Refuse("'latest' alias name (case insensitive) is reserved.");
        // A number alone is a version wherever the platform takes an alias or a version.
        else if (alias.Length > 0 && alias.TrimStart('v', 'V') is var rest && alias.Length - rest.Length <= 1 && rest.Length > 0 && rest.All(char.IsAsciiDigit)) call.Refuse($"Version alias name '{alias}' is reserved.");
        return alias;
    }

    private static async Task<Result<object?>> ShownAsync(MlflowCall call, Result<RegisteredModel> written) =>
        written.Refusal is { } refusal ? refusal : Result<object?>.Ok(new { RegisteredModel = Shown(written.Value, await LatestOfAsync(call, written.Value.Name)) });

    private static async Task<IReadOnlyList<ModelVersion>> LatestOfAsync(MlflowCall call, params string[] models) =>
        await call.Get<IQuerySession>().LoadManyAsync<ModelVersion>(call.Aborted, await call.Get<ModelSearch>().LatestAsync(call.Tenant, models, call.Aborted));
}
