using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Platform.Load;

/// <summary>The price of a governed prediction: the platform, with authentication, admission, journal and meter on, beside raw ONNX Runtime, a bare Kestrel
/// endpoint and a peer; one run, one machine, the same models, rows and load generator.</summary>
internal static class Benchmarks
{
    private const int DifferentRows = 500;
    private static readonly Uri Bare = new("http://127.0.0.1:18182/"), Peer = new("http://127.0.0.1:18183/infer");

    public static async Task<int> RunAsync(string host, string[] options)
    {
        var time = TimeSpan.FromSeconds(double.Parse(Option(options, "--seconds") ?? "10", CultureInfo.InvariantCulture));
        var (only, servers) = (Option(options, "--only"), Option(options, "--servers"));
        int[] counts = [.. (Option(options, "--callers") ?? "1,32,64,256").Split(',').Select(int.Parse)];
        bool Asked(string server) => servers is null || server.Contains(servers, StringComparison.Ordinal);
        List<Line> lines = [];
        Say("Starting a platform and deploying the models …");
        await using var platform = await RunningPlatform.StartAsync(host);
        using var tenant = await platform.TenantAsync("bench");
        (string, string) authorization = ("Authorization", $"Bearer {tenant.Key}"), json = ("Content-Type", "application/json");

        foreach (var model in (Model[])[Model.Trees(), Model.Mlp(), Model.Cnn(), Model.HeavyMlp()])
        {
            if (only is not null && only != model.Name) continue;
            var rows = model.Rows(DifferentRows);
            var outputs = model.Name == "trees" ? 1 : 10;
            var onnx = Path.Combine(platform.Data, model.Name + ".onnx");
            await File.WriteAllBytesAsync(onnx, model.Onnx);
            foreach (var journal in (string[])["durable", "buffered"]) await tenant.DeployAsync(model, $"{model.Name}-{journal}", new { journalMode = journal });
            await tenant.DeployAsync(model, $"{model.Name}-alone", new { journalMode = "buffered", mode = "latency" });
            byte[][] bodies = [.. rows.Select(row => Bodies.Json(model, row))];
            (int HeaderLength, byte[] Body)[] binary = [.. rows.Select(row => Bodies.Binary(model, row))];
            (string, string)[] ofBinary = [authorization, ("Content-Type", "application/octet-stream"), ("Inference-Header-Content-Length", binary[0].HeaderLength.ToString(CultureInfo.InvariantCulture))];

            if (servers is null) Say($"{model.Name}: raw ONNX Runtime …");
            if (servers is null) lines.Add(new(model.Name, "raw ONNX Runtime, no HTTP", Environment.ProcessorCount, new(BareEndpoint.Raw(onnx, model, rows, outputs, time), double.NaN, double.NaN, 0, 0)));
            foreach (var callers in counts)
            {
                Say($"{model.Name}: {callers} callers …");
                using (Child("dotnet", [typeof(Benchmarks).Assembly.Location, "bare", onnx, $"{model.Features}", $"{outputs}", Bare.GetLeftPart(UriPartial.Authority)]))
                {
                    await AnswersAsync(Bare, bodies[0]);
                    lines.Add(new(model.Name, "bare Kestrel", callers, Wrk.Run(Bare, bodies, callers, time, json)));
                }

                foreach (var journal in (string[])["buffered", "durable"])
                {
                    var url = tenant.Infer($"{model.Name}-{journal}");
                    if (Asked($"{journal}, REST JSON")) lines.Add(new(model.Name, $"platform, {journal}, REST JSON", callers, Wrk.Run(url, bodies, callers, time, json, authorization)));
                    if (Asked($"{journal}, REST binary")) lines.Add(new(model.Name, $"platform, {journal}, REST binary", callers, Wrk.Run(url, [.. binary.Select(b => b.Body)], callers, time, ofBinary)));
                    if (Asked($"{journal}, gRPC")) lines.Add(new(model.Name, $"platform, {journal}, gRPC", callers, await GrpcCallers.RunAsync(platform.GrpcAddress, tenant.Key, $"{model.Name}-{journal}", model, rows, callers, time)));
                }

                if (callers == 64 && servers is null)
                {
                    lines.Add(new(model.Name, "platform, buffered, REST binary, batching off", callers, Wrk.Run(tenant.Infer($"{model.Name}-alone"), [.. binary.Select(b => b.Body)], callers, time, ofBinary)));
                }

                if (model.Name != "trees" || callers is not (1 or 32 or 64) || !Asked("Fastify")) continue;
                foreach (var workers in (int[])[1, 2])
                {
                    if (StartPeer(onnx, model, workers, tenant.Key) is not { } peer) continue;
                    using (peer)
                    {
                        await AnswersAsync(Peer, bodies[0], tenant.Key);
                        lines.Add(new(model.Name, $"Fastify + onnxruntime-node, {workers} worker{(workers > 1 ? "s" : "")}", callers, Wrk.Run(Peer, bodies, callers, time, json, authorization)));
                    }
                }
            }
        }

        var failed = lines.Sum(line => line.Result.Failed);
        if (options.Contains("--json")) Console.WriteLine(JsonSerializer.Serialize(lines.Select(l => new { l.Model, l.Server, l.Callers, perSecond = l.Result.PerSecond, p50 = Finite(l.Result.P50Micros), p99 = Finite(l.Result.P99Micros), l.Result.Failed })));
        else Print(lines);
        return failed > 0 ? 1 : 0;
    }

    private static double? Finite(double value) => double.IsNaN(value) ? null : value;

    private static void Print(IReadOnlyList<Line> lines)
    {
        Console.WriteLine($"{Environment.ProcessorCount} cores, shared by server, database and load generator; {DifferentRows} different rows in turn.\n");
        Console.WriteLine("| model | server | callers | requests/s | of bare | p50 µs | p99 µs | failed |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|");
        foreach (var (model, server, callers, r) in lines)
        {
            var bare = lines.FirstOrDefault(l => l.Model == model && l.Server == "bare Kestrel" && l.Callers == callers)?.Result.PerSecond;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"| {model} | {server} | {callers} | {r.PerSecond:N0} | {(bare is null ? "" : $"{100 * r.PerSecond / bare:N0} %")} | {r.P50Micros:N0} | {r.P99Micros:N0} | {r.Failed} |").Replace("NaN", ""));
        }
    }

    private static Running? StartPeer(string onnx, Model model, int workers, string key)
    {
        // Installed by build/benchmarks where there is npm; without it the peer is left out of the table.
        if (Environment.GetEnvironmentVariable("PEER_MODULES") is not { Length: > 0 }) return null;
        return Child("node", [Path.Combine(AppContext.BaseDirectory, "fastify.mjs"), onnx, Peer.Port.ToString(CultureInfo.InvariantCulture), $"{workers}", JsonSerializer.Serialize(model.Row), key]);
    }

    private static Running Child(string program, IReadOnlyList<string> arguments) => new(Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!);

    private static async Task AnswersAsync(Uri url, byte[] body, string? key = null)
    {
        using var http = new HttpClient();
        if (key is not null) http.DefaultRequestHeaders.Authorization = new("Bearer", key);
        for (var i = 0; i < 400; i++)
        {
            try
            {
                using var answer = await http.PostAsync(url, new ByteArrayContent(body) { Headers = { ContentType = new("application/json") } });
                if (answer.IsSuccessStatusCode) return;
            }
            catch (HttpRequestException)
            {
                // Not listening yet.
            }

            await Task.Delay(50);
        }

        throw new TimeoutException($"{url} does not answer.");
    }

    /// <summary>The least of the times, sorted, that so large a part of them does not exceed.</summary>
    internal static double Percentile(IReadOnlyList<double> sorted, double part) => sorted[Math.Max(0, (int)Math.Ceiling(sorted.Count * part) - 1)];

    internal static string? Option(string[] options, string name) => Array.IndexOf(options, name) is >= 0 and var at && at + 1 < options.Length ? options[at + 1] : null;

    internal static void Say(string line) => Console.Error.WriteLine(line);

    private sealed record Line(string Model, string Server, int Callers, LoadResult Result);

    /// <summary>A process that ends with its measurement, and its children with it.</summary>
    private sealed class Running(Process process) : IDisposable
    {
        public void Dispose()
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
            process.Dispose();
        }
    }
}
