using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;

namespace Platform.Load;

/// <summary>The disk of the data folder is full, and has room again later. The folder is a small filesystem of its own, mounted where nobody else sees it.</summary>
internal static class DiskFault
{
    private const string Size = "700M";

    private static readonly TimeSpan Full = TimeSpan.FromSeconds(20);

    public static async Task<int> RunAsync(string host, string[] options)
    {
        Console.WriteLine();
        var folder = Directory.CreateTempSubdirectory("platform-disk-").FullName;
        if (Mount(folder) is { } reason)
        {
            Console.WriteLine($"Full disk: skipped, because {reason}.");
            Directory.Delete(folder, recursive: true);
            return 0;
        }

        try
        {
            return await FillAsync(host, Path.Combine(folder, "disk", "data"));
        }
        finally
        {
            Run("umount", Path.Combine(folder, "disk"));
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<int> FillAsync(string host, string data)
    {
        await using var platform = await RunningPlatform.StartAsync(host, data: data);
        using var tenant = await platform.TenantAsync("faults");
        var model = Model.Trees();
        await tenant.DeployAsync(model, "trees");
        var body = Bodies.Json(model, model.Rows(1)[0]);
        var ledger = new Ledger(platform, tenant, tenant.Infer("trees"), [.. model.Rows(500).Select(row => Bodies.Json(model, row))]);
        Ledger.Head();
        var seen = new SortedDictionary<string, int>(StringComparer.Ordinal);
        var sentence = "";
        await ledger.TryAsync($"disk full for {Full.TotalSeconds:0} s", async () =>
        {
            var filler = Path.Combine(data, "filler");
            Fill(filler);
            using var http = new HttpClient { BaseAddress = platform.Address, Timeout = TimeSpan.FromSeconds(30), DefaultRequestHeaders = { Authorization = new AuthenticationHeaderValue("Bearer", tenant.Key) } };
            var began = Stopwatch.GetTimestamp();
            while (Stopwatch.GetElapsedTime(began) < Full)
            {
                // What the callers leave is taken too: a log line that went, a segment that was freed.
                Fill(filler);
                using var asked = await http.PostAsync("v2/models/trees/infer", new ByteArrayContent(body));
                if (!asked.IsSuccessStatusCode) sentence = await asked.Content.ReadAsStringAsync();
                await CountAsync("durable prediction", asked);
                using var read = await http.GetAsync("api/v1/registry/models");
                await CountAsync("read", read);
                using var ready = await http.GetAsync("health/ready");
                await CountAsync("readiness", ready);
                await Task.Delay(200);
            }

            File.Delete(filler);
            return await Ledger.ReadyAsync(platform);

            Task CountAsync(string what, HttpResponseMessage answer)
            {
                var line = $"{what} {(int)answer.StatusCode}";
                seen[line] = seen.GetValueOrDefault(line) + 1;
                return Task.CompletedTask;
            }
        });
        Console.WriteLine($"\nWhile it was full: {string.Join(", ", seen.Select(line => $"{line.Key}: {line.Value}"))}. A refusal said: {sentence}");
        Console.WriteLine($"PostgreSQL was started again {Lines(platform, "is started again in")} times.\n");
        ledger.Must(seen.ContainsKey("durable prediction 503"), "No durable prediction was refused while the disk was full.");
        ledger.Must(seen.Keys.All(line => !line.StartsWith("durable prediction 5", StringComparison.Ordinal) || line.EndsWith("503", StringComparison.Ordinal)), "A prediction was answered with something else than an answer or 503.");
        ledger.Must(seen.ContainsKey("readiness 503"), "Readiness never said no.");
        var after = await ledger.TryAsync("and after that", () => Task.FromResult(TimeSpan.Zero));
        ledger.Must(after.Answered.Count > 0 && after.Refused + after.Broken == 0, "It was not whole again afterwards.");
        return ledger.Failures;
    }

    private static int Lines(RunningPlatform platform, string with) => platform.Output.ToString().Split('\n').Count(line => line.Contains(with, StringComparison.Ordinal));

    private static void Fill(string filler)
    {
        using var file = new FileStream(filler, FileMode.Append, FileAccess.Write, FileShare.None, bufferSize: 0);
        foreach (var size in (int[])[1 << 20, 4 << 10])
        {
            var block = new byte[size];
            Random.Shared.NextBytes(block);
            try
            {
                while (true) file.Write(block);
            }
            catch (IOException)
            {
                // Full to this size.
            }
        }
    }

    /// <summary>Why it cannot be mounted; null when it was. A file with ext4 in it, or memory where that cannot be.</summary>
    private static string? Mount(string folder)
    {
        if (Environment.GetEnvironmentVariable("PRIVATE_MOUNTS") != "1") return "this machine allows no private mounts (unshare -m)";
        var (image, disk) = (Path.Combine(folder, "image"), Path.Combine(folder, "disk"));
        Directory.CreateDirectory(disk);
        Run("truncate", "-s", Size, image);
        if (Run("mkfs.ext4", "-q", "-m", "0", image) is null && Run("mount", "-o", "loop", image, disk) is null) return null;
        return Run("mount", "-t", "tmpfs", "-o", string.Create(CultureInfo.InvariantCulture, $"size={Size}"), "tmpfs", disk);
    }

    /// <summary>What went wrong; null when nothing did.</summary>
    private static string? Run(string program, params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
            var said = process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? null : $"{program} said: {said.Trim()}";
        }
        catch (System.ComponentModel.Win32Exception missing)
        {
            return $"{program}: {missing.Message}";
        }
    }
}
