using System.Globalization;

namespace Platform.Load;

/// <summary>Managed memory a real host allocates for one prediction, of all its threads together (its own metric, read before and after), by journal mode.</summary>
internal static class Allocation
{
    private const int WarmUp = 3000, Requests = 10_000, Callers = 8;

    public static async Task<int> RunAsync(string host)
    {
        await using var server = await RunningPlatform.StartAsync(host);
        using var tenant = await server.TenantAsync("allocation");
        var model = Model.Trees();
        byte[][] bodies = [.. model.Rows(100).Select(row => Bodies.Json(model, row))];
        foreach (var mode in (string[])["durable", "buffered"])
        {
            await tenant.DeployAsync(model, mode, new { journalMode = mode });
            await AskAsync(tenant, mode, bodies, WarmUp);
            var (before, idleFrom) = (await AllocatedAsync(server), DateTime.UtcNow);
            await AskAsync(tenant, mode, bodies, Requests);
            var (after, took) = (await AllocatedAsync(server), DateTime.UtcNow - idleFrom);
            await Task.Delay(took);
            var idle = await AllocatedAsync(server) - after;
            Console.WriteLine($"{mode}: {(after - before) / Requests:N0} bytes a request, of which {idle / Requests:N0} are also allocated in that time when nobody asks");
        }

        return 0;
    }

    private static Task AskAsync(LoadTenant tenant, string endpoint, byte[][] bodies, int count) =>
        Parallel.ForEachAsync(Enumerable.Range(0, count), new ParallelOptions { MaxDegreeOfParallelism = Callers }, async (i, _) => await tenant.InferAsync(endpoint, bodies[i % bodies.Length]));

    private static Task<double> AllocatedAsync(RunningPlatform platform) => MetricAsync(platform, "dotnet_gc_heap_total_allocated_bytes_total");

    /// <summary>The sum of a metric's series, as the host shows them.</summary>
    public static async Task<double> MetricAsync(RunningPlatform platform, string name)
    {
        using var http = new HttpClient { BaseAddress = platform.Address };
        var metrics = await http.GetStringAsync("metrics");
        return metrics.Split('\n').Where(line => line.StartsWith(name, StringComparison.Ordinal)).Sum(Value);

        static double Value(string line) =>
            double.Parse(line[(line.IndexOf('}') is >= 0 and var end ? end + 1 : line.IndexOf(' '))..].Trim().Split(' ')[0], CultureInfo.InvariantCulture);
    }
}
