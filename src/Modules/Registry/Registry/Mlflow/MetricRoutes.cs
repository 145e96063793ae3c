using System.Text;
using Platform.Kernel;
using Platform.Registry.Tracking;

namespace Platform.Registry.Mlflow;

/// <summary><c>metrics/…</c>: every value of a metric.</summary>
internal static class MetricRoutes
{
    private const int MostRuns = 100;

    internal static void Map(MlflowRoutes.Table routes)
    {
        routes.Get("mlflow/metrics/get-history", Permissions.ReadRuns, "Read a metric's history", HistoryAsync);
        routes.Get("mlflow/metrics/get-history-bulk", Permissions.ReadRuns, "Read a metric's history in several runs", BulkAsync);
        routes.Get("mlflow/metrics/get-history-bulk-interval", Permissions.ReadRuns, "Read a metric's history in several runs, thinned for a chart", IntervalAsync);
    }

    private static async Task<Result<object?>> HistoryAsync(MlflowCall call)
    {
        var run = MlflowRules.RunId(call);
        var key = call.Required("metric_key");
        var most = call.MaxResults(25_000, 25_000);
        var after = call.Take(Token(call.Text("page_token")));
        if (call.Wrong is { } wrong) return wrong;
        var found = await call.Get<RunStore>().HistoryAsync(call.Tenant, run, key, after, most + 1, call.Aborted);
        // Of a run that is not there there is nothing, but it is better said.
        if (found.Count == 0 && await call.Get<RunStore>().FindAsync(call.Tenant, run, call.Aborted) is null) return RunStore.Missing(run);
        var page = found.Take(most).ToArray();
        var next = found.Count > most ? Convert.ToBase64String(Encoding.UTF8.GetBytes($"{page[^1].Timestamp} {page[^1].Step} {BitConverter.DoubleToInt64Bits(page[^1].Value)}")) : null;
        return Result<object?>.Ok(new { Metrics = MlflowJson.Unless(page), NextPageToken = next });
    }

    private static async Task<Result<object?>> BulkAsync(MlflowCall call)
    {
        var (runs, key) = (RunIds(call, "run_id"), call.Required("metric_key"));
        var most = call.MaxResults(25_000, 25_000);
        if (call.Wrong is { } wrong) return wrong;
        var found = await call.Get<RunStore>().HistoryAsync(call.Tenant, runs, key, most, call.Aborted);
        return Result<object?>.Ok(new { Metrics = found.Take(most).Select(Shown).ToArray() });
    }

    private static async Task<Result<object?>> IntervalAsync(MlflowCall call)
    {
        var (runs, key) = (RunIds(call, "run_ids"), call.Required("metric_key"));
        var (from, to, points) = (call.Int64("start_step"), call.Int64("end_step"), call.MaxResults(320, 2_500));
        if (from > to) call.Refuse($"end_step must be greater than start_step. Found start_step={from} and end_step={to}.");
        if (call.Wrong is { } wrong) return wrong;
        var found = await call.Get<RunStore>().ThinnedHistoryAsync(call.Tenant, runs, key, from, to, points, call.Aborted);
        return Result<object?>.Ok(new { Metrics = found.Select(Shown).ToArray() });
    }

    private static object Shown((Guid Run, Metric Metric) found) => new { found.Metric.Key, found.Metric.Value, found.Metric.Timestamp, found.Metric.Step, RunId = found.Run.ToString("N") };

    private static List<Guid> RunIds(MlflowCall call, string name)
    {
        var given = call.Texts(name);
        if (given.Count is 0 or > MostRuns) call.Refuse($"GetMetricHistoryBulk request must specify at least one and at most {MostRuns} {name}. Received {given.Count}.");
        return [.. given.Select(text => Guid.TryParseExact(text, "N", out var id) ? id : Guid.Empty)];
    }

    private static Result<Metric?> Token(string? token)
    {
        if (string.IsNullOrEmpty(token)) return Result<Metric?>.Ok(null);
        var bytes = new byte[token.Length];
        return Convert.TryFromBase64String(token, bytes, out var length) && Encoding.UTF8.GetString(bytes, 0, length).Split(' ') is [var timestamp, var step, var bits]
            && long.TryParse(timestamp, out var t) && long.TryParse(step, out var s) && long.TryParse(bits, out var b)
            ? new Metric("", BitConverter.Int64BitsToDouble(b), t, s) : MlflowCall.Bad("Invalid page token: it is not one of this metric's.");
    }
}
