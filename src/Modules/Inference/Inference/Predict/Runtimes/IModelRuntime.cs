using Platform.Registry.Contracts;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>A kind of engine that can load an artifact: ONNX Runtime now; ML.NET archives and remote servers are one file each.</summary>
internal interface IModelRuntime
{
    /// <summary>Where models of this runtime run, and why there: <c>CPU</c>, or <c>CPU (CUDA was asked for, but …)</c>.</summary>
    string Placement { get; }

    /// <summary>Loads the artifact. Throws <see cref="ModelLoadException"/> with a sentence for the model's owner.</summary>
    ILoadedModel Load(byte[] artifact);
}

/// <summary>A model in memory. Runs may overlap; disposing it waits for nobody, so <see cref="ResidentModel"/> counts its users.</summary>
internal interface ILoadedModel : IDisposable
{
    /// <summary>As the file says, so that it can be held against what the registry said.</summary>
    ModelSignature Signature { get; }

    /// <summary>Runs once or twice on made-up rows, so that the first caller does not pay for first-time work. Throws <see cref="ModelRunException"/>
    /// only when it was stopped: a model that cannot digest made-up rows may still serve real ones.</summary>
    void WarmUp(RunSeat seat);

    /// <summary>Runs the set's inputs through the model and fills the wanted outputs (by index). Throws <see cref="ModelRunException"/>
    /// when the model fails, and when <paramref name="seat"/> stopped it.</summary>
    void Run(TensorSet set, ReadOnlySpan<int> wanted, RunSeat seat);
}

/// <summary>The artifact cannot be served; the message is for the model's owner.</summary>
internal sealed class ModelLoadException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>A run that gave no answer.</summary>
internal sealed class ModelRunException(RunFailure failure, string message, Exception? inner = null) : Exception(message, inner)
{
    public RunFailure Failure { get; } = failure;
}

internal enum RunFailure
{
    /// <summary>The model could not digest these inputs.</summary>
    Failed,
    /// <summary>It ran longer than the limit and was stopped.</summary>
    TimedOut,
    /// <summary>The caller went away and it was stopped.</summary>
    Abandoned,
}
