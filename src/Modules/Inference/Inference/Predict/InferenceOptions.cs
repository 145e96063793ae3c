using Platform.Billing.Contracts;
using Platform.Inference.Predict.Admission;
using Platform.Inference.Predict.Journal;
using Platform.Inference.Predict.Runtimes;

namespace Platform.Inference.Predict;

/// <summary>The section <c>Inference</c> of the configuration. Everything has a value that suits a small machine.</summary>
internal sealed class InferenceOptions
{
    public OnnxPlacement Placement { get; init; } = new();

    /// <summary>Runs that may go on at once; 0 is one a core.</summary>
    public int ConcurrentRuns { get; init; }

    /// <summary>Runs beyond those, each of a tenant of whom nothing else runs, so that it need not wait for the end of another's long run.</summary>
    public int GuestRuns { get; init; } = 1;

    /// <summary>A run that takes longer is stopped.</summary>
    public TimeSpan LongestRun { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Runs of one tenant that may wait for a core.</summary>
    public int MaxWaitingPerTenant { get; init; } = 1000;

    /// <summary>Requests to one model that may wait for a core.</summary>
    public int MaxWaitingPerModel { get; init; } = 500;

    /// <summary>Who has waited this long for a core is refused.</summary>
    public TimeSpan LongestWait { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Memory set aside for loaded models, in MiB; 0 is a third of what the process may have.</summary>
    public int ModelMemoryMiB { get; init; }

    /// <summary>The most memory that the process may allocate, in MiB; 0 is three quarters of what there is.</summary>
    public int ProcessMemoryMiB { get; init; }

    /// <summary>Memory for remembered answers, in MiB, for all endpoints that ask for it together.</summary>
    public int ResponseCacheMiB { get; init; } = 64;

    public long MaxBodyBytes { get; init; } = 16 << 20;

    public RemoteOptions Remote { get; init; } = new();

    public JournalOptions Journal { get; init; } = new();

    public LimitOptions Limits { get; init; } = new();

    public WaitLimits Waits => new(MaxWaitingPerTenant, MaxWaitingPerModel, LongestWait);

    public int Runs => ConcurrentRuns > 0 ? ConcurrentRuns : Environment.ProcessorCount;

    public long ProcessMemory => ProcessMemoryMiB > 0 ? (long)ProcessMemoryMiB << 20 : Math.Max(1L << 30, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4 * 3);

    public long ModelMemory => ModelMemoryMiB > 0 ? (long)ModelMemoryMiB << 20 : GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 3;
}

/// <summary>Models on other servers.</summary>
internal sealed record RemoteOptions
{
    /// <summary>Hosts, addresses or networks (10.0.0.0/8) that may be called although they are private. Public addresses may always.</summary>
    public IReadOnlyList<string> AllowedHosts { get; init; } = [];

    /// <summary>What may be sent to whom, by the name that versions refer to.</summary>
    public IReadOnlyDictionary<string, RemoteCredential> Credentials { get; init; } = new Dictionary<string, RemoteCredential>();
}

/// <param name="Host">The only host it is ever sent to.</param>
/// <param name="Authorization">The header's value, such as <c>Bearer …</c>.</param>
/// <param name="Tenants">Who may use it; empty is everybody.</param>
internal sealed record RemoteCredential(string Host, string Authorization, IReadOnlyList<string>? Tenants = null);

/// <summary>Limits that every tenant has, beside the quota of its plan: the default where the plan says nothing, and the most it can allow. 0 is none.</summary>
internal sealed record LimitOptions
{
    public double RequestsPerSecondPerTenant { get; init; }

    public int BurstPerTenant { get; init; } = 100;

    public double RequestsPerSecondPerKey { get; init; }

    public int BurstPerKey { get; init; } = 50;

    public int MaxConcurrentPerTenant { get; init; } = 1000;

    public Limits For(string plan, long? monthlyQuota, RequestLimits ofPlan) => new(plan, monthlyQuota,
        Lower(RequestsPerSecondPerTenant, BurstPerTenant, ofPlan.RequestsPerSecond, ofPlan.Burst),
        Lower(RequestsPerSecondPerKey, BurstPerKey, ofPlan.RequestsPerSecondPerKey, ofPlan.Burst),
        (int)Lower(MaxConcurrentPerTenant, ofPlan.MaxConcurrent));

    /// <summary>A host without a limit of the rate has no say in the burst either, but for its default.</summary>
    private static Rate Lower(double rate, int burst, double? rateOfPlan, int? burstOfPlan) =>
        new(Lower(rate, rateOfPlan), (int)(rate > 0 ? Lower(burst, burstOfPlan) : burstOfPlan ?? burst));

    private static double Lower(double ofHost, double? ofPlan) => ofHost > 0 && ofPlan > 0 ? Math.Min(ofHost, ofPlan.Value) : ofPlan ?? ofHost;
}
