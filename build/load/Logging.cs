using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace Platform.Load;

/// <summary>Clients of MLflow that log at once, as the trainings of a team do: each begins a run, logs metrics one by one and in batches, parameters and files, ends the run and
/// begins the next. At the end everything that was answered is looked for.</summary>
internal static class Logging
{
    private const int OneByOne = 100, Batches = 5, InBatch = 200, FileBytes = 256 << 10;

    public static async Task<int> RunAsync(string host, string[] options)
    {
        var clients = int.Parse(Benchmarks.Option(options, "--clients") ?? "10", CultureInfo.InvariantCulture);
        var seconds = int.Parse(Benchmarks.Option(options, "--seconds") ?? "30", CultureInfo.InvariantCulture);
        await using var platform = await RunningPlatform.StartAsync(host);
        using var tenant = await platform.TenantAsync("logging");
        var experiment = (await tenant.MlflowAsync("experiments/create", new { name = "logging" }))["experiment_id"]!.ToString();
        var calls = new ConcurrentDictionary<string, ConcurrentQueue<double>>();
        var (failures, answered) = (new ConcurrentQueue<string>(), new ConcurrentQueue<Answered>());
        // What is compiled and opened at the first call is no part of it.
        await new Client(tenant, platform, experiment, new(), new(), new(), 1).LogRunAsync(long.MaxValue);

        var began = Stopwatch.GetTimestamp();
        var end = began + (seconds * Stopwatch.Frequency);
        await Task.WhenAll(Enumerable.Range(0, clients).Select(number => Task.Run(async () =>
        {
            using var client = new Client(tenant, platform, experiment, calls, failures, answered, number);
            while (Stopwatch.GetTimestamp() < end) await client.LogRunAsync(end);
        })));
        var took = Stopwatch.GetElapsedTime(began).TotalSeconds;

        Console.WriteLine($"{Environment.ProcessorCount} cores, shared by server, database and {clients} clients; {took:F1} s.\n");
        Console.WriteLine("| call | answered | a second | p50 ms | p99 ms | most ms |");
        Console.WriteLine("|---|---|---|---|---|---|");
        foreach (var (name, times) in calls.OrderBy(c => c.Key, StringComparer.Ordinal)) Tell(name, [.. times], took);
        Tell("all", [.. calls.Values.SelectMany(t => t)], took);
        Console.WriteLine($"\n{answered.Count(a => a.Finished)} runs from beginning to end, {answered.Count} begun; {failures.Count} calls failed.");
        foreach (var failure in failures.Take(5)) Console.WriteLine($"  {failure}");

        var lost = 0;
        foreach (var run in answered) lost += await run.LostAsync(tenant, platform);
        Console.WriteLine(lost == 0 ? $"All that was answered is there: {answered.Sum(a => (long)a.Values)} metric values, {answered.Sum(a => a.Files.Count)} files with their hashes."
            : $"LOST: {lost} of what was answered.");
        return lost == 0 && failures.IsEmpty ? 0 : 1;
    }

    private static void Tell(string name, double[] times, double took)
    {
        if (times.Length == 0) return;
        Array.Sort(times);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {name} | {times.Length:N0} | {times.Length / took:N0} | {Benchmarks.Percentile(times, .5):F1} | {Benchmarks.Percentile(times, .99):F1} | {times[^1]:F1} |"));
    }

    /// <summary>What the platform has said yes to, of one run.</summary>
    private sealed class Answered(string id, string folder)
    {
        public int Steps { get; set; }

        public int BatchValues { get; set; }

        public bool HasParams { get; set; }

        public bool Finished { get; set; }

        public Dictionary<string, string> Files { get; } = [];

        public int Values => Steps + BatchValues;

        public string Id => id;

        public string Folder => folder;

        /// <summary>How much of it is not there.</summary>
        public async Task<int> LostAsync(LoadTenant tenant, RunningPlatform platform)
        {
            var run = (await tenant.MlflowGetAsync($"runs/get?run_id={id}"))["run"]!;
            var lost = Finished && run["info"]!["status"]!.ToString() != "FINISHED" ? 1 : 0;
            if (HasParams && run["data"]!["params"]!.AsArray().Count != 20) lost++;
            foreach (var (key, wanted) in new[] { ("loss", Steps), ("batch", BatchValues) })
            {
                // A call whose answer was lost may have been carried out: more is fine.
                if (wanted > 0 && (await tenant.MlflowGetAsync($"metrics/get-history?run_id={id}&metric_key={key}&max_results=25000"))["metrics"]!.AsArray().Count is var there && there < wanted) lost += wanted - there;
            }

            using var http = tenant.Client(platform);
            foreach (var (name, hash) in Files)
            {
                var content = await http.GetByteArrayAsync($"mlflow/api/2.0/mlflow-artifacts/artifacts/{folder}/{name}");
                if (Convert.ToHexStringLower(SHA256.HashData(content)) != hash) lost++;
            }

            return lost;
        }
    }

    private sealed class Client(
        LoadTenant tenant, RunningPlatform platform, string experiment, ConcurrentDictionary<string, ConcurrentQueue<double>> calls, ConcurrentQueue<string> failures, ConcurrentQueue<Answered> answered, int number) : IDisposable
    {
        private readonly HttpClient http = tenant.Client(platform);
        private readonly Random random = new(number);

        public async Task LogRunAsync(long end)
        {
            if (await CallAsync("runs/create", Json(new { experiment_id = experiment, start_time = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), run_name = $"client {number}" })) is not { } created) return;
            var id = created["run"]!["info"]!["run_id"]!.ToString();
            var run = new Answered(id, $"{experiment}/{id}/artifacts");
            answered.Enqueue(run);
            if (await CallAsync("runs/log-batch (20 params)", Json(new { run_id = id, @params = Enumerable.Range(0, 20).Select(p => new { key = $"p{p}", value = $"{random.NextDouble()}" }) })) is not null) run.HasParams = true;
            for (var step = 0; step < OneByOne && Stopwatch.GetTimestamp() < end; step++)
            {
                if (await CallAsync("runs/log-metric", Json(new { run_id = id, key = "loss", value = random.NextDouble(), timestamp = step, step })) is not null) run.Steps++;
            }

            for (var batch = 0; batch < Batches && Stopwatch.GetTimestamp() < end; batch++)
            {
                var metrics = Enumerable.Range(0, InBatch).Select(i => new { key = "batch", value = random.NextDouble(), timestamp = (batch * InBatch) + i, step = (batch * InBatch) + i });
                if (await CallAsync($"runs/log-batch ({InBatch} metrics)", Json(new { run_id = id, metrics })) is not null) run.BatchValues += InBatch;
            }

            for (var file = 0; file < 2 && Stopwatch.GetTimestamp() < end; file++)
            {
                var content = new byte[FileBytes];
                random.NextBytes(content);
                var name = $"file{file}.bin";
                if (await CallAsync($"artifacts ({FileBytes >> 10} KiB)", new ByteArrayContent(content), $"mlflow/api/2.0/mlflow-artifacts/artifacts/{run.Folder}/{name}", HttpMethod.Put) is not null)
                {
                    run.Files[name] = Convert.ToHexStringLower(SHA256.HashData(content));
                }
            }

            if (Stopwatch.GetTimestamp() < end && await CallAsync("runs/update", Json(new { run_id = id, status = "FINISHED", end_time = 1 })) is not null) run.Finished = true;
        }

        public void Dispose() => http.Dispose();

        private static JsonContent Json(object body) => JsonContent.Create(body);

        private async Task<JsonNode?> CallAsync(string name, HttpContent body, string? path = null, HttpMethod? method = null)
        {
            using var request = new HttpRequestMessage(method ?? HttpMethod.Post, path ?? $"mlflow/api/2.0/mlflow/{name.Split(' ')[0]}") { Content = body };
            var start = Stopwatch.GetTimestamp();
            try
            {
                using var answer = await http.SendAsync(request);
                var text = await answer.Content.ReadAsStringAsync();
                if (!answer.IsSuccessStatusCode) throw new InvalidOperationException($"{(int)answer.StatusCode} {text}");
                calls.GetOrAdd(name, _ => new()).Enqueue(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
                return JsonNode.Parse(text);
            }
            catch (Exception failure) when (failure is HttpRequestException or InvalidOperationException or TaskCanceledException)
            {
                failures.Enqueue($"{name}: {failure.Message}");
                return null;
            }
        }
    }
}
