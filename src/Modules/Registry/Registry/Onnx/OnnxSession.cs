using Microsoft.ML.OnnxRuntime;
using OrtOptions = Microsoft.ML.OnnxRuntime.SessionOptions;

namespace Platform.Registry.Onnx;

/// <summary>Opens a file in ONNX Runtime the way serving does: one thread, no spinning, CPU; and silent, because what it would print is the caller's file.</summary>
internal static class OnnxSession
{
    public static InferenceSession Open(byte[] file)
    {
        using var options = new OrtOptions
        {
            IntraOpNumThreads = 1,
            InterOpNumThreads = 1,
            ExecutionMode = ExecutionMode.ORT_SEQUENTIAL,
            LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL,
        };
        options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0");
        options.AddSessionConfigEntry("session.inter_op.allow_spinning", "0");
        return new InferenceSession(file, options);
    }
}
