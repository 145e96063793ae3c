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

    /// <summary>A run that takes longer is stopped.</summary>
    public TimeSpan LongestRun { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Runs of one tenant that may wait for a core.</summary>
    public int MaxWaitingPerTenant { get; init; } = 1000;

    /// <summary>Memory set aside for loaded models, in MiB; 0 is a third of what the process may have.</summary>
    public int ModelMemoryMiB { get; init; }

    public long MaxBodyBytes { get; init; } = 16 << 20;

    public JournalOptions Journal { get; init; } = new();

    public LimitOptions Limits { get; init; } = new();

    public int Runs => ConcurrentRuns > 0 ? ConcurrentRuns : Environment.ProcessorCount;

    public long ModelMemory => ModelMemoryMiB > 0 ? (long)ModelMemoryMiB << 20 : GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 3;
}

/// <summary>Limits that every tenant has, beside the quota of its plan. 0 is none.</summary>
internal sealed record LimitOptions
{
    public double RequestsPerSecondPerTenant { get; init; }

    public int BurstPerTenant { get; init; } = 100;

    public double RequestsPerSecondPerKey { get; init; }

    public int BurstPerKey { get; init; } = 50;

    public int MaxConcurrentPerTenant { get; init; } = 1000;

    public Limits For(string plan, long? monthlyQuota) => new(plan, monthlyQuota,
        new Rate(RequestsPerSecondPerTenant, BurstPerTenant), new Rate(RequestsPerSecondPerKey, BurstPerKey), MaxConcurrentPerTenant);
}
