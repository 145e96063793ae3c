using System.Collections.Concurrent;
using Marten;
using MediatR;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Platform.Billing.Contracts;
using Platform.Features.Contracts;
using Platform.Inference.Predict;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;
using Platform.Kernel.Store;
using Platform.Registry.Contracts;
using Platform.Tenancy.Contracts;

namespace Platform.Inference.Endpoints;

/// <summary>Turns what is known of a tenant's endpoints into serving plans and swaps them in. The new model is loaded beside the old one first,
/// so that no request waits or fails; a model that cannot be loaded leaves the old plan serving.</summary>
internal sealed partial class PlanCompiler(
    IServiceScopeFactory scopes, ServingTable table, ModelCache models, TenantCounts counts, InferenceOptions options, ILogger<PlanCompiler> log)
{
    private readonly ConcurrentDictionary<string, SemaphoreSlim> tenants = new(StringComparer.Ordinal);

    /// <summary>Models that a compilation under way is about to name; they must not be unloaded as unused meanwhile.</summary>
    private readonly HashSet<ModelKey> pinned = [];

    /// <summary>Compiles one endpoint of the tenant, or all. What is served afterwards reflects what was committed before the call.</summary>
    /// <param name="load">Whether models are loaded now, or by their first request.</param>
    public async Task CompileAsync(string tenant, string? endpoint, bool load, CancellationToken ct)
    {
        var one = tenants.GetOrAdd(tenant, _ => new SemaphoreSlim(1));
        await one.WaitAsync(ct);
        List<ModelKey> pins = [];
        try
        {
            var changes = await ChangesAsync(tenant, endpoint, load, pins, ct);
            table.Swap(changes);
        }
        finally
        {
            LetGo(pins);
            one.Release();
        }
    }

    /// <summary>Loads the version, so that a deployment can be refused before anything is saved.</summary>
    public async Task<Refusal?> TryLoadAsync(string tenant, ServableVersion version, CancellationToken ct)
    {
        List<ModelKey> pins = [];
        try
        {
            return await LoadAsync(Pin(tenant, version, pins), ct);
        }
        finally
        {
            LetGo(pins);
        }
    }

    private async Task<Dictionary<EndpointKey, Serving?>> ChangesAsync(string tenant, string? name, bool load, List<ModelKey> pins, CancellationToken ct)
    {
        await using var scope = scopes.CreateAsyncScope();
        scope.ServiceProvider.GetRequiredService<CallerScope>().Begin(Caller.System(tenant));
        var mediator = scope.ServiceProvider.GetRequiredService<IMediator>();
        await using var session = scope.ServiceProvider.GetRequiredService<TenantSessions>().OpenSession();

        IReadOnlyList<Endpoint> endpoints = await (name is null ? session.Query<Endpoint>() : session.Query<Endpoint>().Where(e => e.Name == name)).ToListAsync(ct);
        var live = endpoints.Where(endpoint => !endpoint.Retired).ToArray();
        var changes = endpoints.Where(endpoint => endpoint.Retired).ToDictionary(endpoint => new EndpointKey(tenant, endpoint.Name), _ => (Serving?)null);
        if (live.Length == 0) return changes;

        var suspended = (await mediator.Send(new ListAllTenants(Only: tenant), ct)).Any(one => one.Suspended);
        var entitlement = await mediator.Send(new GetEntitlement(), ct);
        var resolved = await mediator.Send(new ResolveVersions([.. live.Select(endpoint => new VersionRef(endpoint.Model, endpoint.AliasOrVersion))]), ct);
        string[] viewNames = [.. live.Select(endpoint => endpoint.FeatureView).OfType<string>().Distinct()];
        IReadOnlyList<FeatureViewDescription> views = viewNames.Length == 0 ? [] : await mediator.Send(new DescribeFeatureViews(viewNames), ct);

        foreach (var (endpoint, version) in live.Zip(resolved))
        {
            var key = new EndpointKey(tenant, endpoint.Name);
            changes[key] = suspended
                ? Serving.Not(Refusal.Forbidden("tenant-suspended", $"The tenant '{tenant}' is suspended.", "Ask the platform's operator why, and to resume it."))
                : await ServingAsync(session, key, endpoint, version, entitlement, views.FirstOrDefault(view => view.Name == endpoint.FeatureView), load, pins, ct);
        }
        return changes;
    }

    private async Task<Serving> ServingAsync(
        IDocumentSession session, EndpointKey key, Endpoint endpoint, ResolvedVersion resolved, Entitlement entitlement, FeatureViewDescription? view, bool load, List<ModelKey> pins, CancellationToken ct)
    {
        if (resolved.Version is not { } version)
        {
            return Serving.Not(new Refusal(RefusalKind.Unavailable, "nothing-to-serve", $"The model '{endpoint.Model}' has no version under '{endpoint.AliasOrVersion}', so the endpoint '{endpoint.Name}' cannot answer.", null,
                "Point the alias at a version, or the endpoint at another alias.")
            { RetryAfter = TimeSpan.FromSeconds(10) });
        }
        try
        {
            var model = Pin(key.Tenant, version, pins);
            // What serves already is not loaded again: it may have been taken out of memory on purpose, and its next request brings it back.
            var serves = table.Current.TryGetValue(key, out var current) && current.Plan?.Model == model;
            if (load && !serves && await LoadAsync(model, ct) is { } unloadable) return KeepServing(key, endpoint, unloadable);
            var planVersion = await PlanVersionAsync(session, endpoint, version, ct);
            var features = endpoint.FeatureView is null ? null
                : new FeatureEnrichment(endpoint.FeatureView, view?.KeyColumn ?? "", (view?.Features.Select(feature => feature.Name) ?? []).ToHashSet(StringComparer.Ordinal));
            var terms = new EndpointTerms(key.Tenant, endpoint.Name, endpoint.AliasOrVersion, planVersion, endpoint.Journal is JournalMode.Durable, features,
                entitlement.PriceClass, options.Limits.For(entitlement.Plan, entitlement.MonthlyQuota, entitlement.Limits), endpoint.Mode, endpoint.CacheSeconds);
            return Serving.By(new ServingPlan(terms, version, model, counts.Admission(key.Tenant), counts.Figures(key)));
        }
        catch (Exception failure) when (failure is ModelLoadException or NotSupportedException)
        {
            return KeepServing(key, endpoint, Refusal.Conflict("model-cannot-serve", $"Version {version.Version} of '{version.Model}' cannot be served: {failure.Message}.", null, "Upload a version that can."));
        }
    }

    /// <summary>A plan that still answers is better than none: the old one stays, and the reason is shown beside it.</summary>
    private Serving KeepServing(EndpointKey key, Endpoint endpoint, Refusal why)
    {
        LogNotSwapped(log, key.Tenant, endpoint.Name, why.Detail);
        return table.Current.TryGetValue(key, out var current) && current.Plan is not null ? current with { Why = why } : Serving.Not(why);
    }

    /// <summary>The version of the plan that computes with exactly this; a new one is recorded first. Replicas that compile at the same moment find the first one's.</summary>
    private static async Task<int> PlanVersionAsync(IDocumentSession session, Endpoint known, ServableVersion version, CancellationToken ct)
    {
        var endpoint = known;
        for (var attempt = 0; ; attempt++)
        {
            if (endpoint.Plan is { } plan && plan == Plan(endpoint, version, plan.PlanVersion)) return plan.PlanVersion;
            try
            {
                var stream = await session.Events.FetchForWriting<Endpoint>(Endpoint.Stream(known.Name), ct);
                endpoint = stream.Aggregate!;
                if (endpoint.Plan is { } recorded && recorded == Plan(endpoint, version, recorded.PlanVersion)) return recorded.PlanVersion;
                var next = Plan(endpoint, version, (endpoint.Plan?.PlanVersion ?? 0) + 1);
                stream.AppendOne(next);
                await session.SaveChangesAsync(ct);
                return next.PlanVersion;
            }
            catch (JasperFx.ConcurrencyException) when (attempt < 5)
            {
                session.EjectAllPendingChanges();
            }
        }
    }

    private static PlanCompiled Plan(Endpoint endpoint, ServableVersion version, int planVersion) =>
        new(planVersion, version.Model, version.Version, version.ArtifactSha256, endpoint.FeatureView, endpoint.Journal);

    private ResidentModel Pin(string tenant, ServableVersion version, List<ModelKey> pins)
    {
        var key = new ModelKey(tenant, version.ArtifactSha256);
        lock (pinned) pinned.Add(key);
        pins.Add(key);
        return models.For(key, version.ArtifactBytes, version.Kind);
    }

    private static async Task<Refusal?> LoadAsync(ResidentModel model, CancellationToken ct)
    {
        var use = await model.UseAsync(ct);
        if (use.Refusal is { } refusal) return refusal;
        use.Value.Release();
        return null;
    }

    private void LetGo(List<ModelKey> pins)
    {
        lock (pinned)
        {
            pinned.ExceptWith(pins);
            var named = table.Current.Values.Select(serving => serving.Plan?.Model.Key).OfType<ModelKey>().Concat(pinned).ToHashSet();
            models.Keep(named);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Tenant {Tenant}: the endpoint {Endpoint} keeps its old plan, if it has one: {Reason}")]
    private static partial void LogNotSwapped(ILogger log, string tenant, string endpoint, string reason);
}
