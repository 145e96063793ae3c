using System.Globalization;
using Marten;
using MediatR;
using Platform.Features.Contracts;
using Platform.Kernel;
using Platform.Registry.Contracts;
using Platform.Registry.Models;
using Platform.Registry.Sharing;
using Platform.Registry.Tracking;

namespace Platform.Registry.Lineage;

/// <summary>Reads one step of lineage around a thing, for one request. What the catalogue and serving know is asked once.</summary>
internal sealed class LineageReads(IQuerySession session, RunStore runs, LoggedModelStore loggedModels, RunLinks links, IMediator mediator, CallerScope scope)
{
    private const int MostUses = 50;

    /// <summary>Digests as clients send them are at most 36 characters long, so a shorter beginning of the content's hash names the dataset too.</summary>
    private const int ShortestDigest = 12;

    private const string CommitTag = "mlflow.source.git.commit", RepositoryTag = "mlflow.source.git.repoURL";

    private readonly Dictionary<LineageKey, Found?> found = [];
    private IReadOnlyList<ModelVersion>? composites;
    private DataCatalogue? catalogue;
    private IReadOnlyList<ServingEndpoint>? endpoints;
    private IReadOnlyList<RegisteredModel>? models;

    private string Tenant => scope.Current.Tenant;

    private bool MayReadRuns => scope.Current.May(Permissions.ReadRuns);

    /// <summary>The thing under its full name, and one step around it; null when there is none.</summary>
    public async Task<Found?> FindAsync(LineageKey key, CancellationToken ct)
    {
        // Many ways lead to one thing.
        if (!found.TryGetValue(key, out var known)) found[key] = known = await ReadAsync(key, ct);
        return known;
    }

    private async Task<Found?> ReadAsync(LineageKey key, CancellationToken ct) => key.Kind switch
    {
        LineageKind.Version => await VersionAsync(key, ct),
        LineageKind.SharedVersion => await SharedVersionAsync(key, ct),
        LineageKind.Run => MayReadRuns && Guid.TryParse(key.Name, out var run) ? await RunAsync(run, ct) : null,
        LineageKind.LoggedModel => MayReadRuns ? await LoggedModelAsync(key, ct) : null,
        LineageKind.Dataset => await DatasetAsync(key, ct),
        LineageKind.FeatureView => await FeatureViewAsync(key, ct),
        LineageKind.Endpoint => await EndpointAsync(key, ct),
        _ => MayReadRuns ? await CodeAsync(key, ct) : null,
    };

    private async Task<Found?> VersionAsync(LineageKey key, CancellationToken ct)
    {
        if (await session.LoadAsync<ModelVersion>(key.Name, ct) is not { } version) return null;
        var facts = version.Facts;
        List<LineageStep> origins = [];
        if (facts.Mlflow?.ModelId is { } logged) origins.Add(new(new(LineageKind.LoggedModel, logged), "made from"));
        else if (facts.Mlflow?.RunId is { } run) origins.Add(new(RunKey(run), "logged by"));
        if (facts.Training is { } training)
        {
            origins.Add(new(await DatasetKeyAsync(training.Dataset, training.DatasetSha256, ct), "trained on"));
            // Older trainings are no runs.
            if (await FindAsync(RunKey(training.Job), ct) is { } run) origins.Add(new(run.Key, "trained by"));
        }

        if (facts.Base is { } shared) origins.Add(new(new(LineageKind.SharedVersion, NameOf(shared)), "derived from"));
        if (facts.Customisation is { } fitted) origins.Add(new(await DatasetKeyAsync(fitted.Dataset, fitted.DatasetSha256, ct), fitted.Tuning is null ? "calibrated on" : "fine-tuned on"));
        foreach (var member in facts.Composite?.Members ?? []) origins.Add(new(VersionKey(member.Model, member.Version), "made of"));

        composites ??= await session.Query<ModelVersion>().Where(other => other.Facts.Source == VersionSource.Composite).ToListAsync(ct);
        var aliases = (await ModelsAsync(ct)).FirstOrDefault(model => model.Name == version.Model)?.Aliases.Where(alias => alias.Value == facts.Version).Select(alias => alias.Key).ToArray() ?? [];
        List<LineageStep> uses =
        [
            .. composites.Where(other => other.Facts.Composite!.Members.Any(member => member.Model == version.Model && member.Version == facts.Version))
                .Select(other => new LineageStep(VersionKey(other.Model, other.Facts.Version), "made of")),
            .. (await EndpointsAsync(ct)).Where(endpoint => endpoint.Model == version.Model && (endpoint.AliasOrVersion == Number(facts.Version) || aliases.Contains(endpoint.AliasOrVersion)))
                .Select(endpoint => new LineageStep(new(LineageKind.Endpoint, endpoint.Name), "serves")),
        ];
        return Of(key, $"{version.Model} version {facts.Version}", aliases.Length == 0 ? facts.Source.ToString().ToLowerInvariant() : string.Join(", ", aliases.Order()), origins, uses);
    }

    /// <summary>Of the other tenant's version only what the own versions that were derived from it tell.</summary>
    private async Task<Found?> SharedVersionAsync(LineageKey key, CancellationToken ct)
    {
        var derived = await session.Query<ModelVersion>().Where(version => version.Facts.Source == VersionSource.Derived).ToListAsync(ct);
        LineageStep[] uses = [.. derived.Where(version => NameOf(version.Facts.Base!) == key.Name).Select(version => new LineageStep(VersionKey(version.Model, version.Facts.Version), "derived from"))];
        return uses.Length == 0 ? null : Of(key, key.Name[(key.Name.IndexOf('/') + 1)..].Replace("/", " version "), $"shared by {key.Name[..key.Name.IndexOf('/')]}", [], [.. uses]);
    }

    private async Task<Found?> RunAsync(Guid id, CancellationToken ct)
    {
        if (await runs.FindAsync(Tenant, id, ct) is not { } run) return null;
        var name = id.ToString("N");
        List<LineageStep> origins = [];
        foreach (var input in run.Inputs)
        {
            var context = input.Tags.FirstOrDefault(tag => tag.Key == RunStore.ContextTag)?.Value;
            origins.Add(new(await DatasetKeyAsync(input.Name, input.Digest, ct), context is null ? "read" : $"read for {context}"));
        }
        if (Tag(run, CommitTag) is { } commit) origins.Add(new(new(LineageKind.Code, commit), "ran"));
        if (Tag(run, RunStore.ParentTag) is { } parent) origins.Add(new(RunKey(parent), "part of"));
        foreach (var used in run.Models.Where(model => !model.IsOutput)) origins.Add(new(new(LineageKind.LoggedModel, used.ModelId), "used"));

        // Those of a logged model hang on that.
        var versions = (await session.MadeByRunAsync(id, ct)).Where(version => version.Facts.Mlflow?.ModelId is null);
        List<LineageStep> uses =
        [
            .. (await links.MadeByAsync(Tenant, id, MostUses, ct)).Select(made => new LineageStep(new(LineageKind.LoggedModel, made), "logged by")),
            .. versions.Select(version => new LineageStep(VersionKey(version.Model, version.Facts.Version), version.Facts.Training is null ? "logged by" : "trained by")),
            .. (await links.TaggedAsync(Tenant, RunStore.ParentTag, name, MostUses, ct)).Select(child => new LineageStep(RunKey(child), "part of")),
        ];
        return Of(new(LineageKind.Run, name), run.Info.Name, run.Info.Status.ToLowerInvariant(), origins, uses);
    }

    private async Task<Found?> LoggedModelAsync(LineageKey key, CancellationToken ct)
    {
        if (await loggedModels.FindAsync(Tenant, key.Name, ct) is not { Deleted: false } model) return null;
        var versions = await session.Query<ModelVersion>().Where(version => version.Facts.Mlflow!.ModelId == key.Name).Take(MostUses).ToListAsync(ct);
        List<LineageStep> uses =
        [
            .. versions.Select(version => new LineageStep(VersionKey(version.Model, version.Facts.Version), "made from")),
            .. (await links.UsersAsync(Tenant, key.Name, MostUses, ct)).Select(run => new LineageStep(RunKey(run), "used")),
        ];
        return Of(key, model.Name, model.ModelType, model.SourceRunId is { } run ? [new(RunKey(run), "logged by")] : [], uses);
    }

    private async Task<Found?> DatasetAsync(LineageKey key, CancellationToken ct)
    {
        var known = await CatalogueAsync(ct);
        var version = known.Datasets.FirstOrDefault(dataset => CataloguedKey(dataset) == key);
        // Named without a version, the newest is meant.
        version ??= known.Datasets.Where(dataset => dataset.Name == key.Name).MaxBy(dataset => dataset.Version);
        if (version is null) return key.Name.LastIndexOf('#') is > 0 and var hash ? await StrayDatasetAsync(key, key.Name[..hash], key.Name[(hash + 1)..], ct) : null;
        var trained = await session.Query<ModelVersion>().Where(other => other.Facts.Training!.DatasetSha256 == version.ContentSha256).Take(MostUses).ToListAsync(ct);
        var fitted = await session.Query<ModelVersion>().Where(other => other.Facts.Customisation!.DatasetSha256 == version.ContentSha256).Take(MostUses).ToListAsync(ct);
        var views = known.FeatureViews.Where(view => view.Dataset == version.Name && (view.DatasetVersion ?? version.Version) == version.Version);
        // What a client may have called it: any beginning of the hash.
        var digests = Enumerable.Range(ShortestDigest, version.ContentSha256.Length - ShortestDigest + 1).Select(length => version.ContentSha256[..length]).ToArray();
        List<LineageStep> uses =
        [
            .. trained.Select(other => new LineageStep(VersionKey(other.Model, other.Facts.Version), "trained on")),
            .. fitted.Select(other => new LineageStep(VersionKey(other.Model, other.Facts.Version), "calibrated on")),
            .. views.Select(view => new LineageStep(new(LineageKind.FeatureView, view.Name), "made from")),
            .. await ReadersAsync(digests, ct),
        ];
        return Of(CataloguedKey(version), $"{version.Name} version {version.Version}", string.Create(CultureInfo.InvariantCulture, $"{version.Rows:N0} rows"), [], uses);
    }

    /// <summary>Data that runs have read and that is not in the catalogue, or not any more.</summary>
    private async Task<Found?> StrayDatasetAsync(LineageKey key, string name, string digest, CancellationToken ct)
    {
        var trained = await session.Query<ModelVersion>().Where(other => other.Facts.Training!.DatasetSha256 == digest && other.Facts.Training.Dataset == name).Take(MostUses).ToListAsync(ct);
        List<LineageStep> uses = [.. trained.Select(other => new LineageStep(VersionKey(other.Model, other.Facts.Version), "trained on")), .. await ReadersAsync([digest], ct)];
        return uses.Count == 0 ? null : Of(key, name, "not in the catalogue", [], uses);
    }

    private async Task<Found?> FeatureViewAsync(LineageKey key, CancellationToken ct)
    {
        var known = await CatalogueAsync(ct);
        if (known.FeatureViews.FirstOrDefault(view => view.Name == key.Name) is not { } view) return null;
        var dataset = known.Datasets.Where(dataset => dataset.Name == view.Dataset && (view.DatasetVersion ?? dataset.Version) == dataset.Version).MaxBy(dataset => dataset.Version);
        var uses = (await EndpointsAsync(ct)).Where(endpoint => endpoint.FeatureView == view.Name).Select(endpoint => new LineageStep(new(LineageKind.Endpoint, endpoint.Name), "enriched by"));
        return Of(key, view.Name, $"of {view.Entity}", [new(dataset is null ? new(LineageKind.Dataset, view.Dataset) : CataloguedKey(dataset), "made from")], [.. uses]);
    }

    private async Task<Found?> EndpointAsync(LineageKey key, CancellationToken ct)
    {
        if ((await EndpointsAsync(ct)).FirstOrDefault(endpoint => endpoint.Name == key.Name) is not { } endpoint) return null;
        var aliases = (await ModelsAsync(ct)).FirstOrDefault(model => model.Name == endpoint.Model)?.Aliases;
        var number = aliases is not null && aliases.TryGetValue(endpoint.AliasOrVersion, out var pointed) ? Number(pointed) : endpoint.AliasOrVersion;
        List<LineageStep> origins = [new(new(LineageKind.Version, $"{endpoint.Model}/{number}"), "serves")];
        if (endpoint.FeatureView is { } view) origins.Add(new(new(LineageKind.FeatureView, view), "enriched by"));
        return Of(key, endpoint.Name, $"{endpoint.Model}@{endpoint.AliasOrVersion}", origins, []);
    }

    private async Task<Found?> CodeAsync(LineageKey key, CancellationToken ct)
    {
        var ran = await links.TaggedAsync(Tenant, CommitTag, key.Name, MostUses, ct);
        if (ran is not [var newest, ..]) return null;
        var repository = await runs.FindAsync(Tenant, newest, ct) is { } run ? Tag(run, RepositoryTag) : null;
        return Of(key, key.Name[..Math.Min(12, key.Name.Length)], repository, [], [.. ran.Select(linked => new LineageStep(RunKey(linked), "ran"))]);
    }

    private async Task<IEnumerable<LineageStep>> ReadersAsync(IReadOnlyList<string> digests, CancellationToken ct) =>
        MayReadRuns ? (await links.ReadersAsync(Tenant, digests, MostUses, ct)).Select(run => new LineageStep(RunKey(run), "read")) : [];

    /// <summary>The dataset as the catalogue knows it by its content, else by the name and digest it was called.</summary>
    private async Task<LineageKey> DatasetKeyAsync(string name, string digest, CancellationToken ct)
    {
        var known = (await CatalogueAsync(ct)).Datasets.Where(dataset => digest.Length >= ShortestDigest && dataset.ContentSha256.StartsWith(digest, StringComparison.Ordinal)).ToArray();
        return (known.FirstOrDefault(dataset => dataset.Name == name) ?? known.FirstOrDefault()) is { } version ? CataloguedKey(version) : new(LineageKind.Dataset, $"{name}#{digest}");
    }

    private async Task<DataCatalogue> CatalogueAsync(CancellationToken ct) => catalogue ??= await mediator.Send(new DescribeData(), ct);

    private async Task<IReadOnlyList<ServingEndpoint>> EndpointsAsync(CancellationToken ct) => endpoints ??= await mediator.Send(new FindEndpointsOf(null), ct);

    private async Task<IReadOnlyList<RegisteredModel>> ModelsAsync(CancellationToken ct) => models ??= await session.Query<RegisteredModel>().Where(model => model.DeletedAt == null).ToListAsync(ct);

    private static Found Of(LineageKey key, string title, string? detail, IReadOnlyList<LineageStep> origins, List<LineageStep> uses) =>
        new(key, new(title, detail, origins, [.. uses.Take(MostUses)], uses.Count >= MostUses));

    private static string? Tag(Run run, string key) => run.Tags.FirstOrDefault(tag => tag.Key == key)?.Value;

    private static string NameOf(BaseVersion shared) => $"{shared.Tenant}/{ModelVersion.Key(shared.Model, shared.Version)}";

    private static string Number(int version) => version.ToString(CultureInfo.InvariantCulture);

    private static LineageKey VersionKey(string model, int version) => new(LineageKind.Version, ModelVersion.Key(model, version));

    private static LineageKey RunKey(string id) => new(LineageKind.Run, Guid.TryParse(id, out var run) ? run.ToString("N") : id);

    private static LineageKey RunKey(Guid id) => new(LineageKind.Run, id.ToString("N"));

    private static LineageKey CataloguedKey(CataloguedDataset dataset) => new(LineageKind.Dataset, $"{dataset.Name}@{dataset.Version}");

    internal sealed record Found(LineageKey Key, LineageFacts Facts);
}
