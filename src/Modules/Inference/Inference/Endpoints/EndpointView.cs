using System.Text.Json.Serialization;
using Platform.Inference.Predict;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Inference.Endpoints;

/// <summary>An endpoint as its owner sees it.</summary>
/// <param name="Serving">Whether it answers now.</param>
/// <param name="Why">Why it does not answer, or why it still serves an older version than it should.</param>
/// <param name="PlanVersion">The version of the plan it serves by; predictions name it.</param>
/// <param name="ModelLoaded">Whether the model is in memory; if not, the next request loads it.</param>
/// <param name="ModelBytes">Memory the loaded model holds, about.</param>
/// <param name="LoadMilliseconds">How long it took to load.</param>
/// <param name="BatchRows">The most rows of waiting requests that are run together; 1 when each is run by itself, null while the model is not in memory.</param>
/// <param name="BatchGain">How many times quicker a row was measured to be in such a batch; 1 when the model's rows may not be run together.</param>
/// <param name="RunsOn">Where the loaded model runs, and why there: <c>CPU</c>, or <c>CPU (CUDA was asked for, but …)</c>.</param>
internal sealed record EndpointView(
    string Name, string Model, string Alias, string? FeatureView, JournalMode JournalMode, ServingMode Mode, int CacheSeconds, DateTimeOffset DeployedAt, string DeployedBy,
    bool Serving, string? Why, int? PlanVersion, int? ModelVersion, bool ModelLoaded, long? ModelBytes, double? LoadMilliseconds, int? BatchRows, double? BatchGain, string? RunsOn) : IHasRevision
{
    [JsonIgnore]
    public long Revision { get; init; }

    public static EndpointView Of(string tenant, Endpoint endpoint, ServingTable table)
    {
        var serving = table.Current.GetValueOrDefault(new EndpointKey(tenant, endpoint.Name));
        var (plan, session) = (serving?.Plan, serving?.Plan?.Model.Loaded);
        return new(
            endpoint.Name, endpoint.Model, endpoint.AliasOrVersion, endpoint.FeatureView, endpoint.Journal, endpoint.Mode, endpoint.CacheSeconds, endpoint.DeployedAt, endpoint.DeployedBy,
            plan is not null, serving is null ? "It is being prepared." : serving.Why?.Detail, plan?.Terms.PlanVersion, plan?.Version.Version, session is not null, session?.Bytes, session?.LoadTime.TotalMilliseconds,
            session?.Trial.RowsIn(endpoint.Mode), session?.Trial.Gain, session?.Placement)
        { Revision = endpoint.Version };
    }
}
