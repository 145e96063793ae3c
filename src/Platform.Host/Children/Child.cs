using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using Nerdbank.Streams;
using Platform.Kernel;

namespace Platform.Host.Children;

/// <summary>This same binary once more, at low priority, with an environment that holds no secret. One work after another goes to its stdin: the name as a header
/// of <see cref="ChildFrames"/>, and the input in pieces. The results come in pieces from its stdout, each with <see cref="Whole"/> behind it; progress and refusals are JSON
/// lines on its stderr. It ends when it has refused or failed, and when there is no more work.</summary>
internal sealed class Child : IAsyncDisposable
{
    /// <summary>The code of the refusal when the process ended without a word.</summary>
    public const string Failed = "work-failed";

    /// <summary>Behind a result, because one that was broken off looks like a whole one.</summary>
    public const byte Whole = 1;

    private const long MaxResultBytes = 1L << 30;

    private readonly Process process;
    private readonly ILogger log;
    private readonly Task listening;
    private IProgress<ChildProgress>? progress;
    private Refusal? refusal;
    private string? lastWords;

    private Child(Process process, ILogger log)
    {
        (this.process, this.log) = (process, log);
        listening = ListenAsync();
    }

    /// <param name="inBackground">Whether it runs only where nobody else wants to.</param>
    public static Child Start(bool inBackground, ILogger log)
    {
        var process = new Process { StartInfo = StartInfo() };
        process.Start();
        LowerPriority(process, inBackground);
        return new Child(process, log);
    }

    public async Task<Result<byte[]>> RunAsync(string work, Func<Stream, CancellationToken, Task> writeInput, IProgress<ChildProgress> progress, CancellationToken ct)
    {
        this.progress = progress;
        var reading = ReadResultAsync(ct);
        try
        {
            var input = process.StandardInput.BaseStream;
            await ChildFrames.WriteHeaderAsync(input, work, ct);
            await using (var pieces = input.WriteSubstream()) await writeInput(pieces, ct);
            await input.FlushAsync(ct);
        }
        catch (IOException)
        {
            // The child closed its input early: it refused, or died, and its last words say which.
        }

        if (await reading is { } result) return result;
        await listening.WaitAsync(ct);
        await process.WaitForExitAsync(ct);
        if (refusal is not null) return refusal;
        log.LogError("Child work {Work} ended with code {ExitCode}: {LastWords}", work, process.ExitCode, lastWords);
        return new Refusal(RefusalKind.Unavailable, Failed, $"The work ended unexpectedly (code {process.ExitCode}). It may have run out of memory.", null, "Try again, with less data if it happens again.");
    }

    /// <summary>There is no more work for it; all of its progress has been told when it has ended.</summary>
    public async Task EndedAsync(CancellationToken ct)
    {
        process.StandardInput.Close();
        await listening.WaitAsync(ct);
        await process.WaitForExitAsync(ct);
    }

    /// <summary>Its resident bytes now.</summary>
    public long Holds()
    {
        process.Refresh();
        return process.HasExited ? long.MaxValue : process.WorkingSet64;
    }

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited) process.Kill(entireProcessTree: true);
        // Its lines end with it, and must not be read from what is disposed.
        await listening;
        process.Dispose();
    }

    private static ProcessStartInfo StartInfo()
    {
        var host = typeof(ChildProcesses).Assembly.Location;
        var running = Environment.ProcessPath!;
        var info = new ProcessStartInfo
        {
            FileName = Path.GetFileNameWithoutExtension(running) == "dotnet" ? running : "dotnet",
            ArgumentList = { host, "--child" },
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        foreach (var name in info.Environment.Keys.Where(IsOurs).ToArray()) info.Environment.Remove(name);
        info.Environment["ORT_DISABLE_TELEMETRY"] = "1";
        // Most children live for seconds: what the host's settings prepare for hours of work would be a quarter of what they take.
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

    /// <summary>Null where the child ended before there was a whole result.</summary>
    private async Task<byte[]?> ReadResultAsync(CancellationToken ct)
    {
        var output = process.StandardOutput.BaseStream;
        using var buffer = new MemoryStream();
        var chunk = new byte[81920];
        try
        {
            var pieces = output.ReadSubstream();
            int read;
            while ((read = await pieces.ReadAsync(chunk, ct)) > 0)
            {
                if (buffer.Length + read > MaxResultBytes) throw new InvalidDataException($"A child's result is over {MaxResultBytes} bytes.");
                buffer.Write(chunk, 0, read);
            }
        }
        catch (EndOfStreamException)
        {
            return null;
        }

        return await output.ReadAsync(chunk.AsMemory(0, 1), ct) == 1 && chunk[0] == Whole ? buffer.ToArray() : null;
    }

    private async Task ListenAsync()
    {
        while (await process.StandardError.ReadLineAsync() is { } line)
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

            if (message?.Progress is { } step) progress?.Report(step);
            refusal = message?.Refusal ?? refusal;
            lastWords = message?.Failure ?? lastWords;
        }
    }
}

/// <summary>One line on a child's stderr.</summary>
internal sealed record ChildMessage(ChildProgress? Progress = null, Refusal? Refusal = null, string? Failure = null);
