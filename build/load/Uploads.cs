using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Security.Cryptography;

namespace Platform.Load;

/// <summary>What a large file costs the host: its most resident memory while a run's artifact goes in by PUT and comes out by GET. The peak is the kernel's own
/// (VmHWM), set back before each.</summary>
internal static class Uploads
{
    public static async Task<int> RunAsync(string host, string[] options)
    {
        long[] sizes = [.. (Benchmarks.Option(options, "--mib") ?? "64,512,2048").Split(',').Select(mib => long.Parse(mib, CultureInfo.InvariantCulture) << 20)];
        await using var platform = await RunningPlatform.StartAsync(host);
        using var tenant = await platform.TenantAsync("uploads");
        using var http = new HttpClient { BaseAddress = platform.Address, Timeout = Timeout.InfiniteTimeSpan, DefaultRequestHeaders = { Authorization = new AuthenticationHeaderValue("Bearer", tenant.Key) } };
        // First-time work and first-time memory are not the file's.
        await PutAsync(http, "warm", 4 << 20);
        await GetAsync(http, "warm");
        Console.WriteLine($"{Environment.ProcessorCount} cores, shared by server, database and caller.\n");
        Console.WriteLine("| file MiB | way | s | MiB/s | host before MiB | peak MiB | grown MiB |");
        Console.WriteLine("|---|---|---|---|---|---|---|");
        foreach (var size in sizes)
        {
            var sent = "";
            await TellAsync(platform, size, "PUT", async () => sent = await PutAsync(http, $"f{size}", size));
            await TellAsync(platform, size, "GET", async () =>
            {
                if (await GetAsync(http, $"f{size}") is var received && received != sent) throw new InvalidDataException($"{received} came back where {sent} was sent.");
            });
        }

        return 0;
    }

    private static async Task TellAsync(RunningPlatform platform, long size, string way, Func<Task> transfer)
    {
        // Sets the peak back to what is resident now.
        await File.WriteAllTextAsync($"/proc/{platform.ProcessId}/clear_refs", "5");
        var before = Kib(platform, "VmRSS:");
        var began = Stopwatch.GetTimestamp();
        await transfer();
        var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        var peak = Kib(platform, "VmHWM:");
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"| {size >> 20:N0} | {way} | {seconds:F1} | {size / 1048576.0 / seconds:N0} | {before / 1024:N0} | {peak / 1024:N0} | {(peak - before) / 1024:N0} |"));
    }

    private static long Kib(RunningPlatform platform, string field) =>
        long.Parse(File.ReadLines($"/proc/{platform.ProcessId}/status").Single(line => line.StartsWith(field, StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2], CultureInfo.InvariantCulture);

    private static async Task<string> PutAsync(HttpClient http, string name, long size)
    {
        using var content = new MadeUp(size);
        using var answer = await http.PutAsync($"mlflow/api/2.0/mlflow-artifacts/artifacts/0/memory/artifacts/{name}", content);
        if (!answer.IsSuccessStatusCode) throw new InvalidOperationException($"{(int)answer.StatusCode}: {await answer.Content.ReadAsStringAsync()}");
        return content.Sha256;
    }

    private static async Task<string> GetAsync(HttpClient http, string name)
    {
        await using var stream = await http.GetStreamAsync($"mlflow/api/2.0/mlflow-artifacts/artifacts/0/memory/artifacts/{name}");
        return Convert.ToHexStringLower(await SHA256.HashDataAsync(stream));
    }

    /// <summary>Bytes that do not repeat, made as they are sent: a real file's would be in this program's memory or on the disk that is measured.</summary>
    private sealed class MadeUp(long size) : HttpContent
    {
        private readonly IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

        public string Sha256 => Convert.ToHexStringLower(hash.GetCurrentHash());

        protected override async Task SerializeToStreamAsync(Stream stream, System.Net.TransportContext? context)
        {
            var random = new Random(1);
            var piece = new byte[1 << 20];
            for (var left = size; left > 0; left -= piece.Length)
            {
                random.NextBytes(piece);
                var part = piece.AsMemory(0, (int)Math.Min(left, piece.Length));
                hash.AppendData(part.Span);
                await stream.WriteAsync(part);
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = size;
            return true;
        }

        protected override void Dispose(bool disposing)
        {
            hash.Dispose();
            base.Dispose(disposing);
        }
    }
}
