using Platform.Inference.Predict.Admission;
using Platform.Inference.Predict.Rules;
using Platform.Inference.Predict.Runtimes;
using Platform.Registry.Contracts;

namespace Platform.Inference.Predict;

/// <summary>The feature view an endpoint adds to its requests.</summary>
/// <param name="Names">The columns it can add, for the words of a refusal.</param>
internal sealed record FeatureEnrichment(string View, string KeyColumn, IReadOnlySet<string> Names);

/// <summary>What an endpoint is, as its owner set it.</summary>
/// <param name="PlanVersion">Rises with every change of what the plan says, so that a prediction can name the plan it was made by.</param>
/// <param name="CacheSeconds">For how long an answer may be given again to the same question; 0 is not at all.</param>
/// <param name="Durable">Whether an answer leaves only after its journal row is on disk.</param>
internal sealed record EndpointTerms(
    string Tenant, string Endpoint, string AliasOrVersion, int PlanVersion, bool Durable, FeatureEnrichment? Features, string PriceClass, Limits Limits, ServingMode Mode = ServingMode.Auto, int CacheSeconds = 0);

/// <summary>Everything a prediction needs to know, compiled beforehand. A request takes one plan and keeps it to the end, whatever changes meanwhile:
/// all members are immutable, or (the model's place, the tenant's counts, the figures and totals, the pool) safe for many threads.</summary>
internal sealed class ServingPlan
{
    public ServingPlan(EndpointTerms terms, ServableVersion version, ResidentModel model, TenantAdmission admission, LiveFigures figures)
    {
        Terms = terms;
        Version = version;
        Model = model;
        Admission = admission;
        Figures = figures;
        Totals = figures.Of(version.Version);
        Inputs = [.. version.Signature.Inputs.Select(TensorLayout.Of)];
        Outputs = [.. version.Signature.Outputs.Select(TensorLayout.Of)];
        AllOutputs = [.. Enumerable.Range(0, Outputs.Length)];
        Columns = version.Columns.Count == 0 ? null : new PlanColumns(version.Columns, Inputs);
        PredictionOutput = version.PredictionOutput is { } name && Array.FindIndex(Outputs, output => output.Name == name) is >= 0 and var index ? [index] : [];
        Rules = version.Rules is { Count: > 0 } rules ? new PlanRules(rules, Columns, Outputs, PredictionOutput, version.Calibration) : null;
        Works = new WorkPool(this);
    }

    public EndpointTerms Terms { get; }

    public ServableVersion Version { get; }

    public ResidentModel Model { get; }

    public TenantAdmission Admission { get; }

    public LiveFigures Figures { get; }

    public ServingTotals Totals { get; }

    public TensorLayout[] Inputs { get; }

    public TensorLayout[] Outputs { get; }

    public int[] AllOutputs { get; }

    /// <summary>Null when the model takes tensors that are not named columns.</summary>
    public PlanColumns? Columns { get; }

    /// <summary>The index of the output that is "the prediction"; empty when the model has none of that name.</summary>
    public int[] PredictionOutput { get; }

    /// <summary>What its owner has hold on every prediction of the version; null when nothing does.</summary>
    public PlanRules? Rules { get; }

    /// <summary>Memory for requests under way, used again and again.</summary>
    public WorkPool Works { get; }
}
