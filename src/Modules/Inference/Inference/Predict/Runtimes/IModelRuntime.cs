using Platform.Kernel;
using Platform.Registry.Contracts;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>An engine that can load one kind of artifact. A new one is a file, and a line where the others are registered.</summary>
internal interface IModelRuntime
{
    ArtifactKind Kind { get; }

    /// <summary>Where models of this runtime run, and why there: <c>CPU</c>, or <c>CPU (CUDA was asked for, but …)</c>.</summary>
    string Placement { get; }

    /// <summary>Loads the artifact. Throws <see cref="ModelLoadException"/> with a sentence for the model's owner.</summary>
    Task<ILoadedModel> LoadAsync(byte[] artifact);
}

/// <summary>A model in memory. Runs may overlap; disposing it waits for nobody, so <see cref="ResidentModel"/> counts its users.</summary>
internal interface ILoadedModel : IDisposable
{
    /// <summary>As the file says, so that it can be held against what the registry said.</summary>
    ModelSignature Signature { get; }

    /// <summary>The most rows that may be tried together: fewer for a model made of others, which may not do more than they.</summary>
    int MostRows => int.MaxValue;

    /// <summary>Runs once or twice on made-up rows, so that the first caller does not pay for first-time work. Throws <see cref="ModelRunException"/>
    /// only when it was stopped: a model that cannot digest made-up rows may still serve real ones.</summary>
    void WarmUp(RunSeat seat);

    /// <summary>Runs the set's inputs through the model and fills the wanted outputs (by index). Throws <see cref="ModelRunException"/>
    /// when the model fails, and when <paramref name="seat"/> stopped it.</summary>
    void Run(TensorSet set, ReadOnlySpan<int> wanted, RunSeat seat);
}

/// <summary>What one run may give.</summary>
internal static class RunLimits
{
    /// <summary>The most bytes that its outputs may hold together.</summary>
    public const long LargestAnswer = 64 << 20;

    public static void Check(double bytes)
    {
        if (bytes > LargestAnswer) throw new ModelRunException(RunFailure.OutOfMemory, $"Its outputs hold {bytes:N0} bytes, and an answer may hold {LargestAnswer:N0}.");
    }
}

/// <summary>A model that runs on another server: a call takes no core here, so it is awaited and waits for no seat.</summary>
internal interface IRemoteModel : ILoadedModel
{
    /// <summary>Sends the set's inputs and fills the wanted outputs. Throws <see cref="ModelRunException"/> when there is no answer.</summary>
    Task CallAsync(TensorSet set, int[] wanted, CancellationToken ct);
}

/// <summary>The artifact cannot be served; the message is for the model's owner.</summary>
internal sealed class ModelLoadException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>A run that gave no answer.</summary>
internal sealed class ModelRunException(RunFailure failure, string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>It was not let run; the refusal is for the caller.</summary>
    public ModelRunException(Refusal refusal) : this(RunFailure.Refused, refusal.Detail) => Refusal = refusal;

    public RunFailure Failure { get; } = failure;

    /// <summary>Which member of a composite it was, as a caller may read it; null when the model is none.</summary>
    public string? Member { get; init; }

    public Refusal? Refusal { get; }
}

internal enum RunFailure
{
    /// <summary>The model could not digest these inputs.</summary>
    Failed,
    /// <summary>It ran longer than the limit and was stopped.</summary>
    TimedOut,
    /// <summary>The caller went away and it was stopped.</summary>
    Abandoned,
    /// <summary>The server on which it runs does not answer, or not as it should.</summary>
    Unreachable,
    /// <summary>It needed more memory than there is for it, or gave more than an answer may hold.</summary>
    OutOfMemory,
    /// <summary>No core fell free for it.</summary>
    Refused,
    /// <summary>Others waited for a core while its tenant had several: it is to wait for its turn again.</summary>
    GaveWay,
}
