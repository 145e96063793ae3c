using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using Platform.Kernel;

namespace Platform.Host.Children;

/// <summary>Parent's side of child work: this same binary again, at low priority, with an environment that holds no secret.
/// Input goes to its stdin, the result comes from its stdout, progress and refusals as JSON lines from its stderr.</summary>
internal sealed class ChildProcesses(ILogger<ChildProcesses> log) : IChildProcesses
{
    private const long MaxResultBytes = 1L << 30;

    public async Task<Result<byte[]>> RunAsync(string work, Func<Stream, CancellationToken, Task> writeInput, IProgress<ChildProgress> progress, CancellationToken ct, bool inBackground)
    {
        using var child = new Process { StartInfo = StartInfo(work) };
        child.Start();
        LowerPriority(child, inBackground);
        Refusal? refusal = null;
        string? lastWords = null;
        try
        {
            var reading = ReadResultAsync(child.StandardOutput.BaseStream, ct);
            var listening = ListenAsync(child.StandardError, message =>
            {
                if (message.Progress is { } step) progress.Report(step);
                refusal = message.Refusal ?? refusal;
                lastWords = message.Failure ?? lastWords;
            }, ct);
            try
            {
                await writeInput(child.StandardInput.BaseStream, ct);
                child.StandardInput.Close();
            }
            catch (IOException)
            {
                // The child closed its input early: it refused, or died, and its last words say which.
            }

            var result = await reading;
            await listening;
            await child.WaitForExitAsync(ct);
            if (refusal is not null) return refusal;
            if (child.ExitCode == 0) return result;
            log.LogError("Child work {Work} ended with code {ExitCode}: {LastWords}", work, child.ExitCode, lastWords);
            return new Refusal(RefusalKind.Unavailable, "work-failed", $"The work ended unexpectedly (code {child.ExitCode}). It may have run out of memory.", null, "Try again, with less data if it happens again.");
        }
        finally
        {
            if (!child.HasExited) child.Kill(entireProcessTree: true);
        }
    }

    private static ProcessStartInfo StartInfo(string work)
    {
        var host = typeof(ChildProcesses).Assembly.Location;
        var running = Environment.ProcessPath!;
        var info = new ProcessStartInfo
        {
            FileName = Path.GetFileNameWithoutExtension(running) == "dotnet" ? running : "dotnet",
            ArgumentList = { host, "--child", work },
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        foreach (var name in info.Environment.Keys.Where(IsOurs).ToArray()) info.Environment.Remove(name);
        info.Environment["ORT_DISABLE_TELEMETRY"] = "1";
        // Most children live for less than a second: what the host's settings prepare for hours of work would be a quarter of what they take.
        info.Environment["DOTNET_gcServer"] = "0";
        info.Environment["DOTNET_TieredPGO"] = "0";
        return info;
    }

    private static bool IsOurs(string variable) =>
        variable.StartsWith("PLATFORM_", StringComparison.Ordinal) || variable.StartsWith("ConnectionStrings", StringComparison.OrdinalIgnoreCase) || variable.StartsWith("ASPNETCORE_", StringComparison.Ordinal);

    /// <summary>In the background only where nobody else wants to: merely being "nice" still took a tenth of a core from predictions, and they had to wait for
    /// its time slices. Set before the child has begun threads, which inherit it.</summary>
    private static void LowerPriority(Process child, bool inBackground)
    {
        if (inBackground && OperatingSystem.IsLinux() && SetScheduler(child.Id, Idle, 0) == 0) return;
        try
        {
            child.PriorityClass = ProcessPriorityClass.BelowNormal;
        }
        catch (Exception e) when (e is InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            // It has already ended, or the system does not allow it; the work itself is unaffected.
        }
    }

    /// <summary>SCHED_IDLE.</summary>
    private const int Idle = 5;

    [DllImport("libc", EntryPoint = "sched_setscheduler")]
    private static extern int SetScheduler(int process, int policy, in int priority);

    private static async Task<byte[]> ReadResultAsync(Stream output, CancellationToken ct)
    {
        using var buffer = new MemoryStream();
        var chunk = new byte[81920];
        int read;
        while ((read = await output.ReadAsync(chunk, ct)) > 0)
        {
            if (buffer.Length + read > MaxResultBytes) throw new InvalidDataException($"A child's result is over {MaxResultBytes} bytes.");
            buffer.Write(chunk, 0, read);
        }

        return buffer.ToArray();
    }

    private async Task ListenAsync(StreamReader lines, Action<ChildMessage> tell, CancellationToken ct)
    {
        while (await lines.ReadLineAsync(ct) is { } line)
        {
            ChildMessage? message = null;
            try
            {
                message = JsonSerializer.Deserialize<ChildMessage>(line);
            }
            catch (JsonException)
            {
                // Native libraries write to stderr too.
                log.LogDebug("Child: {Line}", line);
            }

            if (message is not null) tell(message);
        }
    }
}

/// <summary>One line on a child's stderr.</summary>
internal sealed record ChildMessage(ChildProgress? Progress = null, Refusal? Refusal = null, string? Failure = null);

/// <summary>Child's side: finds the work by name among the modules' and runs it.</summary>
internal static class ChildProgram
{
    public static async Task<int> RunAsync(string work, IEnumerable<IModule> modules)
    {
        var services = new ServiceCollection();
        var configuration = new ConfigurationBuilder().Build();
        foreach (var module in modules) module.AddServices(services, configuration);
        var type = services.Where(s => s.ServiceType == typeof(IChildWork)).Select(s => s.ImplementationType!)
            .Select(t => (IChildWork)Activator.CreateInstance(t)!).SingleOrDefault(w => w.Name == work);
        if (type is null)
        {
            Tell(new(Failure: $"There is no child work '{work}'."));
            return 2;
        }

        try
        {
            await using var input = Console.OpenStandardInput();
            await using var output = Console.OpenStandardOutput();
            await type.RunAsync(input, output, new DirectProgress(), CancellationToken.None);
            return 0;
        }
        catch (ChildWorkRefusedException e)
        {
            Tell(new(Refusal: e.Refusal));
            return 3;
        }
        catch (Exception e)
        {
            Tell(new(Failure: e.ToString()));
            return 1;
        }
    }

    private static void Tell(ChildMessage message) => Console.Error.WriteLine(JsonSerializer.Serialize(message));

    /// <summary>Writes at once and in order; the library's Progress would post to the thread pool.</summary>
    private sealed class DirectProgress : IProgress<ChildProgress>
    {
        public void Report(ChildProgress value) => Tell(new(Progress: value));
    }
}
