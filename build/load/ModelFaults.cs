using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Text.Json;

namespace Platform.Load;

/// <summary>Models of one tenant that throw, hang, give no numbers or eat memory, and what another tenant feels of them.</summary>
internal static class ModelFaults
{
    private const int Hostile = 8, Quiet = 2;

    private static readonly TimeSpan Time = TimeSpan.FromSeconds(8);

    public static async Task<int> RunAsync(string host, string[] options)
    {
        // Less than the defaults, so that the limits are met within a round and on a small machine.
        await using var platform = await RunningPlatform.StartAsync(host, new Dictionary<string, string> { ["Inference__ProcessMemoryMiB"] = "3072", ["Inference__LongestRun"] = "00:00:05" });
        using var quiet = await platform.TenantAsync("quiet");
        using var loud = await platform.TenantAsync("loud");
        var trees = Model.Trees();
        await quiet.DeployAsync(trees, "trees");
        byte[][] rows = [.. trees.Rows(500).Select(row => Bodies.Json(trees, row))];
        await CallAsync(quiet, rows, TimeSpan.FromSeconds(3));
        var alone = await CallAsync(quiet, rows, Time);
        var failures = 0;
        HashSet<string> deployed = [];

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"\n{Quiet} callers of one tenant on trees, {Hostile} of another on a bad model, {Time.TotalSeconds:0} s each. Alone the quiet tenant had p50 {alone.At(.5):F1} ms, p99 {alone.At(.99):F1} ms.\n"));
        Console.WriteLine("| the other tenant's model | its answers | its refusals | one of them | quiet answers | refused or broken | p50 | p99 | most memory | journal = usage | verdict |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|---|---|");
        await RoundAsync(Model.Throws(), "throws", 5);
        await RoundAsync(Model.ByItself(), "gives NaN", 0);
        await RoundAsync(Model.Loops(), "never ends, callers wait", 9e18f);
        await RoundAsync(Model.Loops(), "never ends, callers wait 0.3 s", 9e18f, timeout: 300_000);
        await RoundAsync(Model.Hungry(), "takes 8 GiB", 2L << 30);
        await RoundAsync(Model.Hungry(), "takes 1 GiB", 256L << 20);
        Console.WriteLine();
        return failures;

        async Task RoundAsync(Model model, string does, float value, int? timeout = null)
        {
            if (deployed.Add(model.Name)) await loud.DeployAsync(model, model.Name);
            var text = System.Text.Encoding.UTF8.GetString(Bodies.Json(model, [value]));
            byte[] body = System.Text.Encoding.UTF8.GetBytes(timeout is null ? text : $$"""{"parameters":{"timeout":{{timeout}}},{{text[1..]}}""");
            var said = "";
            var inTime = true;
            var most = 0L;
            var bad = new Callers(loud.Infer(model.Name), loud.Key, [body], Hostile);
            using var stop = new CancellationTokenSource();
            var watching = Task.Run(async () =>
            {
                while (!stop.IsCancellationRequested)
                {
                    most = Math.Max(most, platform.Resident());
                    await Task.Delay(20);
                }
            });
            var asking = Task.Run(async () =>
            {
                using var http = new HttpClient { Timeout = TimeSpan.FromMinutes(1), DefaultRequestHeaders = { Authorization = new AuthenticationHeaderValue("Bearer", loud.Key) } };
                var began = Stopwatch.GetTimestamp();
                using var answer = await http.PostAsync(loud.Infer(model.Name), new ByteArrayContent(body));
                var took = Stopwatch.GetElapsedTime(began);
                if (timeout is { } allowed) inTime = took < TimeSpan.FromMicroseconds(allowed) + TimeSpan.FromSeconds(1);
                var json = await answer.Content.ReadAsStringAsync();
                using var valid = JsonDocument.Parse(json);
                said = string.Create(CultureInfo.InvariantCulture, $"{(int)answer.StatusCode} after {took.TotalSeconds:F1} s: {(valid.RootElement.TryGetProperty("error", out var error) ? error.GetString() : valid.RootElement.GetProperty("outputs")[0].GetProperty("data").GetRawText())}");
            });
            await Task.Delay(TimeSpan.FromSeconds(1));
            var felt = await CallAsync(quiet, rows, Time);
            await asking;
            var told = await bad.EndAsync();
            await stop.CancelAsync();
            await watching;
            var balances = await BalancesAsync(quiet) && await BalancesAsync(loud);
            var good = balances && inTime && felt.Refused + felt.Broken == 0 && told.Broken == 0;
            if (!good) failures++;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"| {does} | {told.Answered.Count:N0} | {told.Refused:N0} | {said} | {felt.Answered.Count:N0} | {felt.Refused + felt.Broken} | {felt.At(.5):F1} ms | {felt.At(.99):F1} ms | {most >> 20:N0} MiB | {(balances ? "yes" : "NO")} | {(good ? "good" : "BAD")} |"));
        }

        async Task<bool> BalancesAsync(LoadTenant tenant)
        {
            var (ids, count, units) = await Ledger.JournalAsync(platform, tenant.Id);
            return count == ids.Count && await tenant.UsageAsync() == units;
        }
    }

    private static async Task<Told> CallAsync(LoadTenant tenant, byte[][] rows, TimeSpan time)
    {
        var callers = new Callers(tenant.Infer("trees"), tenant.Key, rows, Quiet);
        await Task.Delay(time);
        return await callers.EndAsync();
    }
}
