using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Platform.MainJob;

// The main job through the public API alone: from a CSV to a governed, metered, live prediction. build/demo starts it.
string? file = null, target = null;
var json = false;
for (var i = 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case "--json": json = true; break;
        case "--target" when i + 1 < args.Length: target = args[++i]; break;
        case var csv when file is null && !csv.StartsWith('-'): file = csv; break;
        default: return Usage();
    }
}

if (file is null) return Usage();
try
{
    await RunAsync(file, target ?? "price", json);
    return 0;
}
catch (MainJobException e)
{
    Console.Error.WriteLine($"\nThe demo stopped: {e.Message}");
    return 1;
}
catch (HttpRequestException e)
{
    Console.Error.WriteLine($"\nThe platform does not answer: {e.Message}");
    return 1;
}

static int Usage()
{
    Console.Error.WriteLine("usage: build/demo [CSV] [--target COLUMN] [--json]");
    return 2;
}

static async Task RunAsync(string file, string target, bool json)
{
    if (!File.Exists(file)) throw new MainJobException($"There is no file {file}.");
    var watch = Stopwatch.StartNew();
    var address = new Uri(Environment.GetEnvironmentVariable("PLATFORM_URL") ?? "http://127.0.0.1:8080");
    var adminKey = AdminKey();
    var model = string.Concat(target.ToLowerInvariant().Select(c => char.IsAsciiLetterOrDigit(c) ? c : '-')).Trim('-');
    var name = $"demo-{DateTime.UtcNow:yyyyMMdd-HHmmss}-{Random.Shared.Next(0x1000):x3}";

    void Say(string line) => Console.WriteLine($"{watch.Elapsed.TotalSeconds,6:F1} s  {line}");

    var held = HeldOut.Of(file, target, 5);
    Say($"{Path.GetFileName(file)}: {held.Total:N0} rows; {held.Rows.Count} of the newest are set aside, nobody trains on them");

    using var platform = new PlatformClient(address, adminKey);
    await platform.PostAsync("api/v1/tenancy/tenants", new { id = name, name = $"Demo of {Path.GetFileName(file)}" });
    var developerKey = await KeyAsync("the modeller", "developer");
    var approverKey = await KeyAsync("the approver", "tenant-admin");
    Say($"tenant {name} with a key for a modeller and one for an approver");

    using var developer = new PlatformClient(address, developerKey);
    using var approver = new PlatformClient(address, approverKey);

    var dataset = await developer.PostCsvAsync("api/v1/features/datasets?name=sales", held.Rest);
    Say($"dataset sales: {dataset["rows"]:N0} rows, {dataset["quarantined"] ?? 0} quarantined, hash {dataset["contentSha256"]?.ToString()[..12]}…");

    var job = await developer.PostAsync("api/v1/registry/training-jobs", new { dataset = "sales", target, model });
    job = await WaitAsync(job["id"]!.ToString());
    var version = job["version"]!.GetValue<int>();
    var trained = await developer.GetAsync($"api/v1/registry/models/{model}/versions/{version}");
    var metrics = trained["metrics"]!;
    Say($"model {model} version {version}: test R² {Number(metrics["r2"]):F3}, RMSE {Number(metrics["rmse"]):N0}, {Percent(metrics["coverage"])} of test rows inside the 90 % interval");

    var approval = await developer.PostAsync("api/v1/governance/approvals", new { model = model, version, note = "The demo asks." });
    await approver.PostAsync($"api/v1/governance/approvals/{approval["id"]}/grant", new { note = "The demo grants." });
    await developer.PutAsync($"api/v1/registry/models/{model}/aliases/champion", new { version });
    Say("approved by the approver, now champion");

    var endpoint = await developer.PostAsync("api/v1/inference/endpoints", new { name = model, model = model, alias = "champion" });
    var predictPath = $"api/v1/inference/endpoints/{model}/predict";
    Say($"endpoint {endpoint["name"]} is live");

    List<JsonObject> predictions = [];
    string? lastBody = null;
    var columns = trained["columns"]!.AsArray().ToDictionary(c => c!["name"]!.ToString(), c => c!["kind"]!.ToString());
    foreach (var row in held.Rows)
    {
        var inputs = Inputs(row, columns);
        lastBody = new JsonObject { ["inputs"] = inputs.DeepClone() }.ToJsonString();
        var answer = await developer.PostAsync(predictPath, new { inputs });
        predictions.Add(new JsonObject
        {
            ["id"] = answer["id"]!.ToString(),
            ["truth"] = double.Parse(row[target], CultureInfo.InvariantCulture),
            ["prediction"] = Number(answer["prediction"]),
            ["lower"] = Number(answer["interval"]?["lower"]),
            ["upper"] = Number(answer["interval"]?["upper"]),
        });
    }

    var usage = await approver.GetAsync("api/v1/billing/usage");
    var total = usage["totals"]!.AsArray().FirstOrDefault();
    watch.Stop();

    Console.WriteLine($"\n  {"truth",14}  {"prediction",14}  90 % interval");
    foreach (var p in predictions)
    {
        var inside = Number(p["truth"]) >= Number(p["lower"]) && Number(p["truth"]) <= Number(p["upper"]);
        Console.WriteLine($"  {Number(p["truth"]),14:N0}  {Number(p["prediction"]),14:N0}  {Number(p["lower"]):N0} … {Number(p["upper"]):N0}{(inside ? "" : "   (outside)")}");
    }

    var link = address.ToString().TrimEnd('/');
    Console.WriteLine($"""

          Test error   RMSE {Number(metrics["rmse"]):N0}, MAE {Number(metrics["mae"]):N0}, R² {Number(metrics["r2"]):F3} on {metrics["testRows"]} rows held out from training
          Usage        {usage["predictions"]} predictions, {total?["amount"]} {total?["currency"]} so far
          Pages        {link}/  (sign in with the key {approverKey})
                       {link}/models/{model} · {link}/endpoints/{model} · {link}/predictions · {link}/usage · {link}/audit
          Again        curl -s {link}/{predictPath} \
                         -H 'Authorization: Bearer {developerKey}' -H 'Content-Type: application/json' \
                         -d '{lastBody!.Replace("'", "'\\''")}'

        """);

    if (json)
    {
        Console.WriteLine(new JsonObject
        {
            ["r2"] = Number(metrics["r2"]),
            ["rmse"] = Number(metrics["rmse"]),
            ["seconds"] = Math.Round(watch.Elapsed.TotalSeconds, 1),
            ["endpoint"] = $"{link}/{predictPath}",
            ["usage"] = new JsonObject { ["count"] = usage["predictions"]!.GetValue<long>(), ["amount"] = total?["amount"]?.GetValue<decimal>() ?? 0, ["currency"] = total?["currency"]?.ToString() },
            ["predictions"] = new JsonArray([.. predictions]),
        }.ToJsonString());
    }

    async Task<string> KeyAsync(string holder, string role) =>
        (await platform.PostAsync($"api/v1/tenancy/tenants/{name}/keys", new { name = holder, role }))["key"]!.ToString();

    async Task<JsonNode> WaitAsync(string id)
    {
        string? said = null;
        while (true)
        {
            var now = await developer.GetAsync($"api/v1/registry/training-jobs/{id}");
            var doing = $"training: {now["doing"]} ({Percent(now["progress"])})";
            switch (now["status"]?.ToString())
            {
                case "succeeded": return now;
                case "failed" or "cancelled": throw new MainJobException($"training {now["status"]}: {now["failure"]?["detail"]} {now["failure"]?["mend"]}");
                default:
                    if (doing != said) Say(doing);
                    said = doing;
                    await Task.Delay(500);
                    break;
            }
        }
    }
}

static string AdminKey()
{
    if (Environment.GetEnvironmentVariable("PLATFORM_ADMIN_KEY") is { Length: > 0 } given) return given;
    var file = Path.Combine(Environment.GetEnvironmentVariable("PLATFORM_DATA") ?? "data", "secrets", "admin-key");
    return File.Exists(file)
        ? File.ReadAllText(file).Trim()
        : throw new MainJobException($"The platform administrator's key is needed: set PLATFORM_ADMIN_KEY, or PLATFORM_DATA to the folder of the running platform ({file} is not there).");
}

// The friendly call takes values as a person would write them; only numbers and flags have a JSON type of their own.
static JsonObject Inputs(IReadOnlyDictionary<string, string> row, Dictionary<string, string> columns)
{
    var inputs = new JsonObject();
    foreach (var (name, kind) in columns)
    {
        var text = row[name];
        inputs[name] = text.Length == 0 ? null
            : kind is "number" && double.TryParse(text, CultureInfo.InvariantCulture, out var number) ? JsonValue.Create(number)
            : kind is "boolean" ? JsonValue.Create(text is "1" || text.Equals("true", StringComparison.OrdinalIgnoreCase))
            : kind is "date" && DateTime.TryParseExact(text, ["yyyyMMddTHHmmss", "yyyyMMdd"], CultureInfo.InvariantCulture, DateTimeStyles.None, out var compact) ? JsonValue.Create(compact.ToString("yyyy-MM-dd"))
            : JsonValue.Create(text);
    }

    return inputs;
}

static double Number(JsonNode? node) => node?.GetValue<double>() ?? double.NaN;

static string Percent(JsonNode? node) => node is null ? "?" : $"{100 * Number(node):F0} %";
