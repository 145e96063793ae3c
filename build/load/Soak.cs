using System.Globalization;

namespace Platform.Load;

/// <summary>A long load on trees, by turns <c>durable</c> and <c>buffered</c>: what the host and its database hold, minute by minute.</summary>
internal static class Soak
{
    private const int Callers = 32;
    private static readonly TimeSpan Each = TimeSpan.FromSeconds(30);

    public static async Task<int> RunAsync(string host, string[] options)
    {
        var minutes = double.Parse(Benchmarks.Option(options, "--minutes") ?? "10", CultureInfo.InvariantCulture);
        await using var platform = await RunningPlatform.StartAsync(host);
        using var tenant = await platform.TenantAsync("soak");
        var trees = Model.Trees();
        foreach (var mode in (string[])["durable", "buffered"]) await tenant.DeployAsync(trees, mode, new { journalMode = mode });
        byte[][] bodies = [.. trees.Rows(500).Select(row => Bodies.Json(trees, row))];
        (string, string)[] headers = [("Content-Type", "application/json"), ("Authorization", $"Bearer {tenant.Key}")];

        Console.WriteLine("| minute | answered | requests/s | failed | host's memory, MiB | of it managed heap, MiB |");
        Console.WriteLine("|---|---|---|---|---|---|");
        var (answered, failed) = (0L, 0L);
        List<double> held = [];
        for (var minute = 1; minute <= minutes; minute++)
        {
            var results = ((string[])["durable", "buffered"]).Select(mode => Wrk.Run(tenant.Infer(mode), bodies, Callers, Each, warmUp: false, headers)).ToArray();
            (answered, failed) = (answered + results.Sum(r => r.Answered), failed + results.Sum(r => r.Failed));
            held.Add(platform.Resident() / 1048576.0);
            var heap = await Allocation.MetricAsync(platform, "dotnet_gc_last_collection_heap_size_bytes");
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {minute} | {answered:N0} | {results.Average(r => r.PerSecond):N0} | {failed} | {held[^1]:N0} | {heap / 1048576:N0} |"));
        }

        var usage = await tenant.UsageAsync();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"\nThe journal counts {usage:N0} predictions. Memory after the second half as against the first: {100 * ((held[(held.Count / 2)..].Average() / held[..(held.Count / 2)].Average()) - 1):+0.0;-0.0} %"));
        return failed > 0 ? 1 : 0;
    }
}
