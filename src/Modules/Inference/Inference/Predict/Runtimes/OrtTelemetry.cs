using System.Runtime.InteropServices;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>Since 1.29 ONNX Runtime queues model names and error texts for its maker, on Linux too. They are our tenants' names:
/// this must run before anything in the process touches ONNX Runtime.</summary>
internal static partial class OrtTelemetry
{
    /// <summary>Calls libc, because <see cref="Environment.SetEnvironmentVariable(string, string)"/> changes .NET's copy only, which native code never sees.</summary>
    public static void Disable()
    {
        if (!OperatingSystem.IsWindows() && SetEnv("ORT_DISABLE_TELEMETRY", "1", overwrite: 1) != 0)
            throw new InvalidOperationException("ONNX Runtime's telemetry could not be switched off: setenv failed.");
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnv(string name, string value, int overwrite);
}
