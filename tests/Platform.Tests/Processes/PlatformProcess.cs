using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.RegularExpressions;
using Platform.Testing;

namespace Platform.Tests.Processes;

/// <summary>The platform in a process of its own, started as an operator starts it, on ports that are free.</summary>
internal sealed partial class PlatformProcess : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private readonly Process process;
    private readonly ConcurrentQueue<string> said = new();
    private Uri? address;
    private readonly TaskCompletionSource<Uri> ready = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private PlatformProcess(ProcessStartInfo start)
    {
        process = new Process { StartInfo = start, EnableRaisingEvents = true };
        process.OutputDataReceived += (_, line) => Hear(line.Data);
        process.ErrorDataReceived += (_, line) => Hear(line.Data);
    }

    public Uri Address => ready.Task.Result;

    public int Id => process.Id;

    /// <summary>All that it wrote.</summary>
    public string Said => string.Join('\n', said);

    /// <summary>From the start of the process until it said that it is ready.</summary>
    public TimeSpan UntilReady { get; private set; }

    /// <summary>The built host, as a service manager would start it: with this environment and nothing else of ours.</summary>
    public static Task<PlatformProcess> HostAsync(string data, Action<IDictionary<string, string?>> environment) =>
        StartAsync(new ProcessStartInfo("dotnet", [Path.Combine(SharedData.Root, "artifacts", "bin", "Platform.Host", "release_linux-x64", "Platform.Host.dll")]), data, environment);

    /// <summary>A command line of the documentation that becomes the platform.</summary>
    public static Task<PlatformProcess> CommandAsync(string command, string folder, string data, Action<IDictionary<string, string?>>? environment = null) =>
        StartAsync(new ProcessStartInfo("bash", ["-c", command]) { WorkingDirectory = folder }, data, environment ?? (_ => { }));

    /// <summary>Asks it to stop, as Ctrl-C and service managers do, and waits for it; its exit code.</summary>
    public async Task<int> StopAsync()
    {
        if (!process.HasExited) await Shell.RunAsync($"kill -TERM {process.Id}", "/");
        await process.WaitForExitAsync().WaitAsync(Patience);
        return process.ExitCode;
    }

    /// <summary>As a machine that fails would: at once, with nothing said (SIGKILL).</summary>
    public void Kill()
    {
        process.Kill();
        process.WaitForExit();
    }

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited) await StopAsync();
        process.Dispose();
    }

    private static async Task<PlatformProcess> StartAsync(ProcessStartInfo start, string data, Action<IDictionary<string, string?>> environment)
    {
        (start.RedirectStandardOutput, start.RedirectStandardError, start.RedirectStandardInput) = (true, true, true);
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("PLATFORM_", StringComparison.Ordinal) || name.StartsWith("ASPNETCORE_", StringComparison.Ordinal)).ToArray()) start.Environment.Remove(name);
        (start.Environment["PLATFORM_DATA"], start.Environment["PLATFORM_URL"], start.Environment["PLATFORM_GRPC_URL"]) = (data, "http://127.0.0.1:0", "http://127.0.0.1:0");
        environment(start.Environment);
        var platform = new PlatformProcess(start);
        var since = Stopwatch.GetTimestamp();
        platform.process.Start();
        platform.process.BeginOutputReadLine();
        platform.process.BeginErrorReadLine();
        var ended = platform.process.WaitForExitAsync();
        if (await Task.WhenAny(platform.ready.Task, ended, Task.Delay(Patience)) != platform.ready.Task)
        {
            await platform.DisposeAsync();
            Assert.Fail($"The platform did not become ready:\n{platform.Said}");
        }

        platform.UntilReady = Stopwatch.GetElapsedTime(since);
        return platform;
    }

    private void Hear(string? line)
    {
        if (line is null) return;
        said.Enqueue(line);
        if (Pages().Match(line) is { Success: true } match) address = new Uri(match.Groups[1].Value);
        // The announcement's last line: whoever waits has then read all of it, the key included.
        if (address is not null && line.Contains("Stop with Ctrl-C", StringComparison.Ordinal)) ready.TrySetResult(address);
    }

    [GeneratedRegex(@"^\s*Pages\s+(http\S+)$")]
    private static partial Regex Pages();
}
