using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Platform.SideBySide;

// Requests per second and latency of the predict path beside a bare Kestrel endpoint running the same model: one run, one machine, one load generator.
// build/benchmarks starts it with the host's program file and a CSV; --json prints an object instead of the table.
if (args is ["bare", var onnx, var bareUrl])
{
    await BareEndpoint.RunAsync(onnx, new Uri(bareUrl));
    return 0;
}

if (args is not [var hostDll, var csv, .. var options])
{
    Console.Error.WriteLine("usage: build/benchmarks [--seconds N] [--json]");
    return 2;
}

var json = options.Contains("--json");
var secondsAt = Array.IndexOf(options, "--seconds");
var seconds = TimeSpan.FromSeconds(secondsAt >= 0 ? double.Parse(options[secondsAt + 1], CultureInfo.InvariantCulture) : 10);
var data = Directory.CreateTempSubdirectory("platform-benchmark-").FullName;
var platformUrl = new Uri("http://127.0.0.1:18180");
var bareAddress = new Uri("http://127.0.0.1:18182/predict");
const string AdminKey = "setup-key-of-the-benchmark";
List<Process> processes = [];
try
{
    void Say(string line) => Console.Error.WriteLine(line);

    Say("Starting a platform …");
    processes.Add(Start(["dotnet", hostDll], ("PLATFORM_DATA", data), ("PLATFORM_URL", platformUrl.ToString()), ("PLATFORM_GRPC_URL", "http://127.0.0.1:18181"), ("PLATFORM_ADMIN_KEY", AdminKey)));
    using var http = new HttpClient { BaseAddress = platformUrl, Timeout = TimeSpan.FromMinutes(10) };
    await UntilAsync(async () => (await http.GetAsync("health/ready")).IsSuccessStatusCode);

    Say("Training and deploying a model through the API …");
    http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", AdminKey);
    await SendAsync(HttpMethod.Post, "tenancy/tenants", JsonContent.Create(new { id = "bench", name = "Benchmark" }));
    var key = (await SendAsync(HttpMethod.Post, "tenancy/tenants/bench/keys", JsonContent.Create(new { name = "bench", role = "tenant-admin" })))["key"]!.ToString();
    http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
    await SendAsync(HttpMethod.Post, "features/datasets?name=sales", new ByteArrayContent(await File.ReadAllBytesAsync(csv)) { Headers = { ContentType = new("text/csv") } });
    var job = await SendAsync(HttpMethod.Post, "registry/training-jobs", JsonContent.Create(new { dataset = "sales", target = "price", model = "price" }));
    await UntilAsync(async () => (await SendAsync(HttpMethod.Get, $"registry/training-jobs/{job["id"]}", null))["status"]!.ToString() == "succeeded");
    await SendAsync(HttpMethod.Put, "governance/policy", JsonContent.Create(new { approvalRequired = false, reason = "A benchmark has one person." }));
    await SendAsync(HttpMethod.Put, "registry/models/price/aliases/champion", JsonContent.Create(new { version = 1 }));
    foreach (var mode in (string[])["durable", "buffered"])
    {
        await SendAsync(HttpMethod.Post, "inference/endpoints", JsonContent.Create(new { name = mode, model = "price", alias = "champion", journalMode = mode }));
    }

    var version = await SendAsync(HttpMethod.Get, "registry/models/price/versions/1", null);
    var artifact = Path.Combine(data, "price.onnx");
    await File.WriteAllBytesAsync(artifact, await http.GetByteArrayAsync("api/v1/registry/models/price/versions/1/artifact"));
    processes.Add(Start([Environment.ProcessPath!, .. Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? new[] { typeof(Load).Assembly.Location } : [], "bare", artifact, bareAddress.GetLeftPart(UriPartial.Authority)]));
    var bodies = Bodies(csv, version["columns"]!.AsArray(), 500);
    using var stranger = new HttpClient();
    await UntilAsync(async () => (await stranger.PostAsync(bareAddress, new ByteArrayContent(bodies[0]))).IsSuccessStatusCode);

    Say($"Measuring: {bodies.Count} rotating rows, {seconds.TotalSeconds:F0} s each, {Environment.ProcessorCount} cores shared by servers, database and load …");
    List<(string Name, LoadResult Result)> results = [];
    foreach (var callers in (int[])[1, 32])
    {
        foreach (var (name, url, by) in (ReadOnlySpan<(string, Uri, string?)>)
            [("bare Kestrel", bareAddress, null), ("platform, buffered", Predict("buffered"), key), ("platform, durable", Predict("durable"), key)])
        {
            results.Add((name, Load.RunAsync(url, by, bodies, callers, TimeSpan.FromSeconds(2), seconds).GetAwaiter().GetResult()));
        }
    }

    if (json)
    {
        Console.WriteLine(JsonSerializer.Serialize(results.Select(r => new { r.Name, r.Result })));
        return 0;
    }

    Console.WriteLine("| endpoint | callers | requests/s | of bare | p50 µs | p99 µs | failed |");
    Console.WriteLine("|---|---|---|---|---|---|---|");
    foreach (var (name, r) in results)
    {
        var bare = results.First(b => b.Name == "bare Kestrel" && b.Result.Callers == r.Callers).Result.Rps;
        Console.WriteLine($"| {name} | {r.Callers} | {r.Rps:N0} | {100 * r.Rps / bare:N0} % | {r.P50Micros:N0} | {r.P99Micros:N0} | {r.Failed} |");
    }

    return results.Any(r => r.Result.Failed > 0) ? 1 : 0;

    Uri Predict(string endpoint) => new(platformUrl, $"api/v1/inference/endpoints/{endpoint}/predict");

    async Task<JsonNode> SendAsync(HttpMethod method, string path, HttpContent? content)
    {
        using var request = new HttpRequestMessage(method, $"api/v1/{path}") { Content = content };
        using var answer = await http.SendAsync(request);
        var body = await answer.Content.ReadAsStringAsync();
        if (!answer.IsSuccessStatusCode) throw new InvalidOperationException($"{method} {path}: {(int)answer.StatusCode} {body}");
        return body.Length == 0 ? new JsonObject() : JsonNode.Parse(body)!;
    }
}
finally
{
    foreach (var process in processes.Where(p => !p.HasExited))
    {
        // SIGTERM, so that the platform stops its database too.
        using var kill = Process.Start("kill", [process.Id.ToString()]);
        await kill.WaitForExitAsync();
        await process.WaitForExitAsync();
    }

    Directory.Delete(data, recursive: true);
}

static Process Start(IReadOnlyList<string> command, params (string Name, string Value)[] environment)
{
    var info = new ProcessStartInfo(command[0], command.Skip(1)) { RedirectStandardOutput = true };
    info.Environment["ORT_DISABLE_TELEMETRY"] = "1";
    foreach (var (name, value) in environment) info.Environment[name] = value;
    var process = Process.Start(info)!;
    _ = process.StandardOutput.ReadToEndAsync();
    return process;
}

static async Task UntilAsync(Func<Task<bool>> holds)
{
    for (var i = 0; i < 600; i++)
    {
        try
        {
            if (await holds()) return;
        }
        catch (HttpRequestException)
        {
            // Not listening yet.
        }

        await Task.Delay(250);
    }

    throw new TimeoutException("Waited too long for the platform.");
}

// Rows of the CSV as the friendly call takes them, each column in the type the model says.
static List<byte[]> Bodies(string csv, JsonArray columns, int count)
{
    var lines = File.ReadLines(csv).Take(count + 1).Select(l => l.Split(',')).ToArray();
    List<byte[]> bodies = [];
    foreach (var row in lines.Skip(1))
    {
        var inputs = new JsonObject();
        foreach (var column in columns)
        {
            var name = column!["name"]!.ToString();
            var text = row[Array.IndexOf(lines[0], name)];
            inputs[name] = text.Length == 0 ? null
                : column["kind"]!.ToString() switch
                {
                    "number" => double.Parse(text, CultureInfo.InvariantCulture),
                    "boolean" => text is "1" or "true",
                    _ => (JsonNode)text,
                };
        }

        bodies.Add(Encoding.UTF8.GetBytes(new JsonObject { ["inputs"] = inputs }.ToJsonString()));
    }

    return bodies;
}
