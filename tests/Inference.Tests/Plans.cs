using System.Security.Cryptography;
using Inference.Tests.Runtimes;
using Microsoft.Extensions.Logging.Abstractions;
using Platform.Billing.Contracts;
using Platform.Inference.Predict;
using Platform.Inference.Predict.Admission;
using Platform.Inference.Predict.Runtimes;
using Platform.Registry.Contracts;

namespace Inference.Tests;

/// <summary>Serving plans without a registry behind them.</summary>
internal static class Plans
{
    public static readonly ConformalTable Calibration = new(0.9, [100, 200], [5, 10, 20], 300);

    public static readonly WaitLimits Waits = new(10_000, 10_000, TimeSpan.FromMinutes(1));

    /// <summary>For tenants without a quota, who never ask.</summary>
    public static readonly AskForQuota NoQuota = (_, _, _, _, _) => throw new InvalidOperationException("There is no quota to ask for.");

    private static readonly OnnxEngine Engine = new(new OnnxPlacement());

    /// <summary>size: number, required; city: category; sold: date.</summary>
    public static ServingPlan Houses(FeatureEnrichment? features = null, IReadOnlyList<VersionRule>? rules = null) => Of(OnnxFiles.Houses(),
        [
            new("size", ColumnKind.Number, true, [], 1, 500, "100"),
            new("city", ColumnKind.Category, false, ["north", "south"], null, null, "north"),
            new("sold", ColumnKind.Date, false, [], null, null, null),
        ], features, rules);

    /// <summary>A plan for any file; columns make it tabular.</summary>
    public static ServingPlan Of(byte[] file, IReadOnlyList<ColumnSpec>? columns = null, FeatureEnrichment? features = null, IReadOnlyList<VersionRule>? rules = null)
    {
        using var loaded = Engine.Load(file);
        var version = new ServableVersion("model", 3, Convert.ToHexStringLower(SHA256.HashData(file)), file.Length, loaded.Signature, columns ?? [],
            loaded.Signature.Outputs is [var only] ? only.Name : null, Calibration, Rules: rules);
        var cache = new ModelCache([Engine], new MemoryBlobs(), new RunGate(2, 0, TimeSpan.FromMinutes(1), Waits, TimeProvider.System), 1 << 30, () => 0, TimeProvider.System, NullLogger<ModelCache>.Instance);
        var terms = new EndpointTerms("t", "houses", "champion", 2, true, features, "standard@1", new LimitOptions().For("standard", null, RequestLimits.None));
        return new ServingPlan(terms, version, cache.For(new ModelKey("t", version.ArtifactSha256), file.Length), new TenantAdmission(Plans.NoQuota, TimeProvider.System), new LiveFigures(TimeProvider.System));
    }
}
