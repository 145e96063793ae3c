using JasperFx;
using JasperFx.Events;
using Platform.Inference.Predict.Runtimes;

namespace Platform.Inference.Endpoints;

/// <param name="AliasOrVersion">An alias to follow, such as champion, or a version to stay on.</param>
/// <param name="FeatureView">The view whose features are added to requests that name an entity; null for none.</param>
/// <param name="Mode">Absent in older events, which means auto, as <paramref name="CacheSeconds"/> is and means 0.</param>
internal sealed record EndpointDeployed(string Model, string AliasOrVersion, string? FeatureView, JournalMode Journal, ServingMode Mode = ServingMode.Auto, int CacheSeconds = 0);

internal sealed record EndpointUpdated(string Model, string AliasOrVersion, string? FeatureView, JournalMode Journal, ServingMode Mode = ServingMode.Auto, int CacheSeconds = 0);

internal sealed record EndpointRetired(string Model, string AliasOrVersion);

/// <summary>What an endpoint computes with changed, and predictions from here on name this plan version: with it and the artifact any of them can be made again.</summary>
internal sealed record PlanCompiled(int PlanVersion, string Model, int ModelVersion, string ArtifactSha256, string? FeatureView, JournalMode Journal);

/// <summary>When an answer leaves.</summary>
internal enum JournalMode
{
    /// <summary>After its journal row is on disk: nothing answered is ever lost.</summary>
    Durable,
    /// <summary>At once: faster, and answers of the last moments are lost with their bill when the process dies.</summary>
    Buffered,
}

/// <summary>A named place that answers predictions. Its name can be used again after it was retired; plan versions go on from where they were.</summary>
internal sealed record Endpoint(
    string Id, string Name, string Model, string AliasOrVersion, string? FeatureView, JournalMode Journal, bool Retired, DateTimeOffset DeployedAt, string DeployedBy, PlanCompiled? Plan,
    ServingMode Mode = ServingMode.Auto, int CacheSeconds = 0) : IRevisioned
{
    /// <summary>The stream's revision, set by the store.</summary>
    public int Version { get; set; }

    public static string Stream(string name) => $"endpoint:{name}";

    public static string NameOf(string stream) => stream["endpoint:".Length..];

    public static Endpoint Create(IEvent<EndpointDeployed> deployed) =>
        new(deployed.StreamKey!, NameOf(deployed.StreamKey!), deployed.Data.Model, deployed.Data.AliasOrVersion, deployed.Data.FeatureView, deployed.Data.Journal,
            Retired: false, deployed.Timestamp, deployed.UserName ?? "system", null, deployed.Data.Mode, deployed.Data.CacheSeconds);

    /// <summary>Deployed again after it was retired.</summary>
    public Endpoint Apply(IEvent<EndpointDeployed> deployed) => Create(deployed) with { Plan = Plan };

    public Endpoint Apply(EndpointUpdated updated) =>
        this with { Model = updated.Model, AliasOrVersion = updated.AliasOrVersion, FeatureView = updated.FeatureView, Journal = updated.Journal, Mode = updated.Mode, CacheSeconds = updated.CacheSeconds };

    public Endpoint Apply(EndpointRetired _) => this with { Retired = true };

    public Endpoint Apply(PlanCompiled plan) => this with { Plan = plan };
}
