using System.Diagnostics;

namespace Platform.Load;

/// <summary>Many tenants upload, deploy and ask many models through the API of a real host. Says how long each step takes at the beginning and at the end,
/// so that what grows with the number of endpoints is seen, and what the process holds.</summary>
internal static class Fleet
{
    public static async Task<int> RunAsync(string host, int tenants, int perTenant)
    {
        await using var server = await RunningPlatform.StartAsync(host, new Dictionary<string, string> { ["Inference__ModelMemoryMiB"] = "64" });
        List<LoadTenant> clients = [];
        for (var t = 0; t < tenants; t++) clients.Add(await server.TenantAsync($"fleet-{t}"));
        Console.WriteLine($"{tenants} tenants; the process holds {server.Resident() >> 20} MiB");

        // Every file is another one. Each upload is inspected in a process of its own, which is most of the time.
        var steps = new Dictionary<string, List<double>>();
        var all = Stopwatch.StartNew();
        var models = Enumerable.Range(0, perTenant).SelectMany(m => clients.Select((client, t) => (Client: client, Name: $"m{m}", Seed: (t * perTenant) + m)));
        await Parallel.ForEachAsync(models, new ParallelOptions { MaxDegreeOfParallelism = 2 }, async (one, _) =>
        {
            var model = Model.Dense(one.Name, one.Seed, 8, 16, 1);
            await TimedAsync(steps, "register and upload", () => one.Client.UploadAsync(model));
            await TimedAsync(steps, "deploy", () => one.Client.PostAsync("inference/endpoints", new { name = one.Name, model = one.Name, alias = "1" }));
        });
        Console.WriteLine($"{tenants * perTenant} models registered, uploaded and deployed in {all.Elapsed.TotalMinutes:F1} min; the process holds {server.Resident() >> 20} MiB");
        foreach (var (step, took) in steps)
        {
            var tenth = took.Count / 10;
            Console.WriteLine($"{step}: median of the first tenth {Median(took.Take(tenth)):F1} ms, of the last {Median(took.TakeLast(tenth)):F1} ms");
        }

        var answers = new Dictionary<string, List<double>>();
        var body = Bodies.Json(Model.Dense("m", 0, 8, 16, 1), [1, 2, 3, 4, 5, 6, 7, 8]);
        var random = new Random(1);
        for (var i = 0; i < 2000; i++) await TimedAsync(answers, "predict", () => clients[random.Next(clients.Count)].InferAsync($"m{random.Next(perTenant)}", body));
        double[] predicted = [.. answers["predict"].Order()];
        Console.WriteLine($"{predicted.Length} predictions by random endpoints: median {Median(predicted):F1} ms, 99th {predicted[predicted.Length * 99 / 100]:F1} ms, longest {predicted[^1]:F1} ms; the process holds {server.Resident() >> 20} MiB");
        return 0;
    }

    private static double Median(IEnumerable<double> values) => values.Order().ToArray() is { Length: > 0 } sorted ? sorted[sorted.Length / 2] : double.NaN;

    private static async Task TimedAsync(Dictionary<string, List<double>> steps, string step, Func<Task> act)
    {
        var began = Stopwatch.GetTimestamp();
        await act();
        var took = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
        lock (steps)
        {
            if (!steps.TryGetValue(step, out var list)) steps.Add(step, list = []);
            list.Add(took);
        }
    }
}
