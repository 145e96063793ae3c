using System.Diagnostics;

namespace Platform.Tests.Processes;

/// <summary>Command lines as a person types them.</summary>
internal static class Shell
{
    /// <summary>Runs it to its end, which has to be a good one; what it wrote to its standard output.</summary>
    public static async Task<string> RunAsync(string command, string folder, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo("bash", ["-c", command]) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment) start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var (output, complaints) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        process.ExitCode.ShouldBe(0, $"{command}\n{await output}\n{await complaints}");
        return await output;
    }
}
