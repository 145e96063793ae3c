using System.Diagnostics;

namespace Platform.Host.EmbeddedPostgres;

/// <summary>A program run to its end with a bare environment: the host's own holds keys and connection strings that no child needs.</summary>
internal static class Subprocess
{
    internal sealed record Outcome(int ExitCode, string Output, string Error)
    {
        internal bool Succeeded => ExitCode == 0;
    }

    internal static async Task<Outcome> RunAsync(IEnumerable<string> command, CancellationToken ct)
    {
        using var process = Start(command);
        try
        {
            var output = process.StandardOutput.ReadToEndAsync(ct);
            var error = process.StandardError.ReadToEndAsync(ct);
            await process.WaitForExitAsync(ct);
            return new Outcome(process.ExitCode, (await output).Trim(), (await error).Trim());
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
    }

    internal static Process Start(IEnumerable<string> command)
    {
        var start = new ProcessStartInfo
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            // The host's own folder may be closed to the account the child runs as.
            WorkingDirectory = "/",
        };
        foreach (var word in command)
        {
            if (start.FileName.Length == 0) start.FileName = word;
            else start.ArgumentList.Add(word);
        }

        start.Environment.Clear();
        foreach (var kept in (string[])["PATH", "LD_LIBRARY_PATH"])
            if (Environment.GetEnvironmentVariable(kept) is { } value) start.Environment[kept] = value;
        start.Environment["LC_ALL"] = "C.UTF-8";
        start.Environment["TZ"] = "UTC";
        var process = Process.Start(start)!;
        process.StandardInput.Close();
        return process;
    }
}
