using System.Runtime.InteropServices;

namespace Platform.Host.EmbeddedPostgres;

/// <summary>
/// The processes of one cluster, found by what they say of themselves: a process id in a file may belong to
/// somebody else by now, above all in a container, where ids start again from 1.
/// </summary>
internal static class ServerProcesses
{
    internal enum Signal
    {
        FastShutdown = 2,
        ImmediateShutdown = 3,
        Kill = 9,
    }

    /// <summary>The server itself, or null; its children show in <see cref="Find"/> too when they outlive it.</summary>
    internal static int? FindServer(Cluster cluster) => Find(cluster).Where(p => p.IsServer).Select(p => (int?)p.Id).FirstOrDefault();

    /// <summary>Stops whatever still runs on the cluster, gently first, and takes away the mark that it runs.</summary>
    /// <returns>Whether a server ran, and whether one had ended without tidying up.</returns>
    internal static async Task<(int? WasRunning, bool LeftUntidy)> ClearAsync(Cluster cluster)
    {
        var server = FindServer(cluster);
        if (server is { } pid)
        {
            Send(pid, Signal.FastShutdown);
            await GoneAsync(cluster, TimeSpan.FromSeconds(60));
        }

        // Children of a killed server leave by themselves, unless they are in the middle of something.
        if (!await GoneAsync(cluster, TimeSpan.FromSeconds(5)))
        {
            foreach (var signal in (Signal[])[Signal.ImmediateShutdown, Signal.Kill])
            {
                foreach (var process in Find(cluster)) Send(process.Id, signal);
                if (await GoneAsync(cluster, TimeSpan.FromSeconds(5))) break;
            }
        }

        var untidy = File.Exists(cluster.PidFile);
        // PostgreSQL would refuse to start if the id in it were taken by now by any process or thread of the same user.
        File.Delete(cluster.PidFile);
        return (server, untidy);
    }

    internal static void Send(int pid, Signal signal) => _ = Kill(pid, (int)signal);

    private static async Task<bool> GoneAsync(Cluster cluster, TimeSpan limit)
    {
        var deadline = Environment.TickCount64 + (long)limit.TotalMilliseconds;
        while (Find(cluster).Any())
        {
            if (Environment.TickCount64 > deadline) return false;
            await Task.Delay(20);
        }

        return true;
    }

    private static IEnumerable<(int Id, bool IsServer)> Find(Cluster cluster)
    {
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), out var id)) continue;
            string[] words;
            try
            {
                words = File.ReadAllText(Path.Combine(folder, "cmdline")).Split('\0');
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Ended meanwhile, or not ours to see.
                continue;
            }

            if (Path.GetFileName(words[0]) == "postgres" && words.Contains(cluster.Folder)) yield return (id, true);
            else if (words[0].StartsWith($"postgres: {cluster.Name}: ", StringComparison.Ordinal)) yield return (id, false);
        }
    }

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int pid, int signal);
}
