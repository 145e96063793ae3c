using Microsoft.ML.OnnxRuntime;
using Platform.Registry.Contracts;
using SessionOptions = Microsoft.ML.OnnxRuntime.SessionOptions;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>Where models should run. <c>cpu</c>, or <c>cuda</c> with a device and a memory limit.</summary>
internal sealed record OnnxPlacement(string Provider = "cpu", int Device = 0, long DeviceMemoryBytes = 0);

/// <summary>ONNX Runtime. A session has no threads of its own: a run uses the thread that asked for it, and <see cref="RunGate"/>
/// bounds how many do. When the wanted provider is not to be had it runs on the CPU and says why.</summary>
internal sealed class OnnxEngine : IModelRuntime
{
    private readonly OnnxPlacement wanted;
    private readonly bool cuda;

    public OnnxEngine(OnnxPlacement wanted)
    {
        OrtTelemetry.Disable();
        this.wanted = wanted;
        (cuda, Placement) = Choose(wanted);
    }

    public ArtifactKind Kind => ArtifactKind.Onnx;

    public string Placement { get; }

    public Task<ILoadedModel> LoadAsync(byte[] artifact) => Task.Run(() => Load(artifact));

    public ILoadedModel Load(byte[] artifact)
    {
        try
        {
            using var options = Options();
            return new OnnxModel(new InferenceSession(artifact, options));
        }
        catch (OnnxRuntimeException failure)
        {
            throw new ModelLoadException("ONNX Runtime cannot load the file: " + FirstLine(failure.Message), failure);
        }
    }

    /// <summary>Asks what there is before asking for it: on a build without CUDA, asking throws <see cref="EntryPointNotFoundException"/>
    /// and not an exception of ONNX Runtime.</summary>
    private static (bool Cuda, string Placement) Choose(OnnxPlacement wanted)
    {
        if (wanted.Provider.Equals("cpu", StringComparison.OrdinalIgnoreCase)) return (false, "CPU");
        if (!wanted.Provider.Equals("cuda", StringComparison.OrdinalIgnoreCase))
            return (false, $"CPU (the provider '{wanted.Provider}' is not known; use cpu or cuda)");
        var offered = OrtEnv.Instance().GetAvailableProviders();
        if (!offered.Contains("CUDAExecutionProvider"))
            return (false, $"CPU (CUDA was asked for, but this build of ONNX Runtime offers only {string.Join(", ", offered)})");
        try
        {
            using var options = new SessionOptions();
            AppendCuda(options, wanted);
            return (true, $"CUDA device {wanted.Device}");
        }
        catch (Exception failure) when (failure is OnnxRuntimeException or EntryPointNotFoundException or DllNotFoundException)
        {
            return (false, $"CPU (CUDA was asked for, but cannot be used: {FirstLine(failure.Message)})");
        }
    }

    private static void AppendCuda(SessionOptions options, OnnxPlacement wanted)
    {
        using var cuda = new OrtCUDAProviderOptions();
        var settings = new Dictionary<string, string> { ["device_id"] = wanted.Device.ToString() };
        if (wanted.DeviceMemoryBytes > 0) settings["gpu_mem_limit"] = wanted.DeviceMemoryBytes.ToString();
        cuda.UpdateOptions(settings);
        options.AppendExecutionProvider_CUDA(cuda);
    }

    private static string FirstLine(string message) => message.Split('\n')[0].Trim();

    private SessionOptions Options()
    {
        var options = new SessionOptions
        {
            IntraOpNumThreads = 1,
            InterOpNumThreads = 1,
            ExecutionMode = ExecutionMode.ORT_SEQUENTIAL,
            // An arena would keep what the largest run so far needed for as long as the model is loaded, and is no quicker (measured for runs of 3 µs to 28 ms).
            EnableCpuMemArena = false,
            GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL,
            // Its messages name tenants' models and would go to stderr; ours say what happened.
            LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL,
        };
        options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0");
        options.AddSessionConfigEntry("session.inter_op.allow_spinning", "0");
        if (cuda) AppendCuda(options, wanted);
        return options;
    }
}
