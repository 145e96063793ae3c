using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Npgsql;

namespace Platform.Load;

/// <summary>How long searches for runs take. Runs with 20 metrics, 5 parameters and 5 tags each are made in the database itself, nine tenths of them in one
/// experiment; the searches go through the API, one after the other, with other values each time.</summary>
internal static class Tracking
{
    private const int Warm = 5;

    public static async Task<int> RunAsync(string host, string[] options)
    {
        var sizes = (Benchmarks.Option(options, "--runs") ?? "10000,100000,1000000").Split(',').Select(int.Parse).ToArray();
        var times = int.Parse(Benchmarks.Option(options, "--times") ?? "40", CultureInfo.InvariantCulture);
        var only = Benchmarks.Option(options, "--only");
        var kept = Benchmarks.Option(options, "--keep");
        Console.WriteLine($"{Environment.ProcessorCount} cores, shared by server, database and caller; {times} searches of each kind.\n");
        Console.WriteLine("| runs | search | page | p50 ms | p95 ms | most ms | found |");
        Console.WriteLine("|---|---|---|---|---|---|---|");
        foreach (var runs in sizes)
        {
            var folder = kept is null ? null : Path.Combine(Path.GetFullPath(kept), runs.ToString(CultureInfo.InvariantCulture));
            var isThere = Directory.Exists(folder);
            if (folder is not null) Directory.CreateDirectory(folder);
            await using var platform = await RunningPlatform.StartAsync(host, data: folder, stays: folder is not null);
            using var tenant = isThere ? await platform.KnownTenantAsync("searching") : await platform.TenantAsync("searching");
            // Its Default is made by the first look.
            await tenant.MlflowAsync("experiments/search", new { max_results = 1 });
            if (!isThere)
            {
                var began = Stopwatch.GetTimestamp();
                await FillAsync(platform, runs);
                await Console.Error.WriteLineAsync($"{runs:N0} runs made in {Stopwatch.GetElapsedTime(began).TotalSeconds:F0} s, {await BytesAsync(platform) / 1048576.0:N0} MiB.");
            }

            foreach (var search in Searches().Where(s => only is null || s.What.Contains(only, StringComparison.Ordinal)))
            {
                var random = new Random(1);
                List<double> took = [];
                var found = 0;
                var token = search.Depth == 0 ? null : await DeepAsync(tenant, search, random);
                for (var i = -Warm; i < times; i++)
                {
                    var body = search.Body(random);
                    if (token is not null) body["page_token"] = token;
                    var (milliseconds, answer) = await tenant.TimeMlflowAsync("runs/search", body);
                    if (i >= 0) took.Add(milliseconds);
                    found = answer["runs"]?.AsArray().Count ?? 0;
                    // Further into the depth with each, so that no page is read twice.
                    if (token is not null && answer["next_page_token"] is { } next) token = next.ToString();
                }

                Tell(runs, search.What, search.Page, took, found);
            }

            var run = (await tenant.MlflowAsync("runs/create", new { experiment_id = "1", start_time = 1 }))["run"]!["info"]!["run_id"]!.ToString();
            foreach (var metrics in (int[])[1, 1000])
            {
                List<double> took = [];
                for (var i = -Warm; i < times; i++)
                {
                    var body = new { run_id = run, metrics = Enumerable.Range(0, metrics).Select(m => new { key = $"b{m % 50}", value = m * .5, timestamp = i + Warm, step = (i + Warm) * 1000 + m }) };
                    var (milliseconds, _) = await tenant.TimeMlflowAsync("runs/log-batch", body);
                    if (i >= 0) took.Add(milliseconds);
                }

                Tell(runs, $"log-batch of {metrics:N0}", metrics, took, metrics);
            }
        }

        return 0;
    }

    private static void Tell(int runs, string what, int page, List<double> took, int found)
    {
        took.Sort();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {runs:N0} | {what} | {page} | {Benchmarks.Percentile(took, .5):F1} | {Benchmarks.Percentile(took, .95):F1} | {took[^1]:F1} | {found} |"));
    }

    private static IEnumerable<Search> Searches()
    {
        string[] one = ["1"], all = [.. Enumerable.Range(1, 11).Select(i => i.ToString(CultureInfo.InvariantCulture))];
        static string F(double value) => value.ToString("F4", CultureInfo.InvariantCulture);
        yield return new("newest runs", one, 100, _ => "", []);
        yield return new("newest runs", one, 1000, _ => "", []);
        yield return new("newest runs of 11 experiments", all, 100, _ => "", []);
        yield return new("metric > t (a tenth), by another metric", one, 100, r => $"metrics.m03 > {F(4 * (.88 + (r.NextDouble() * .04)))}", ["metrics.m07 DESC"]);
        yield return new("metric > t (a tenth), by another metric", one, 1000, r => $"metrics.m03 > {F(4 * (.88 + (r.NextDouble() * .04)))}", ["metrics.m07 DESC"]);
        yield return new("metric > t (a tenth), by another metric, 11 experiments", all, 100, r => $"metrics.m03 > {F(4 * (.88 + (r.NextDouble() * .04)))}", ["metrics.m07 DESC"]);
        yield return new("metric > t (a thousandth), by another metric", one, 100, r => $"metrics.m03 > {F(4 * (.9988 + (r.NextDouble() * .0004)))}", ["metrics.m07 ASC"]);
        yield return new("metric > t (a hundredth), by another metric", one, 100, r => $"metrics.m03 > {F(4 * (.988 + (r.NextDouble() * .004)))}", ["metrics.m07 ASC"]);
        yield return new("two metrics (a fifth each), by a third", one, 100, r => $"metrics.m03 > {F(4 * .8)} and metrics.m05 < {F(6 * (.18 + (r.NextDouble() * .04)))}", ["metrics.m11 DESC"]);
        yield return new("parameter = v (a tenth), newest first", one, 100, r => $"params.lr = '0.{r.Next(10)}'", []);
        yield return new("parameter = v (one run)", one, 100, r => $"params.seed = '{r.Next(9000)}'", []);
        yield return new("parameter LIKE 'net-1%' (a tenth), by a metric", one, 100, _ => "params.model LIKE 'net-1%'", ["metrics.m02 DESC"]);
        yield return new("tag = v (an eighth) and metric < t (a half)", one, 100, r => $"tags.team = 'team {r.Next(8)}' and metrics.m01 < 1", []);
        yield return new("tag = v (a thousandth), by a metric", one, 100, r => $"tags.commit = 'c{r.Next(1000)}'", ["metrics.m02 DESC"]);
        yield return new("by a parameter", one, 100, _ => "", ["params.lr DESC"]);
        yield return new("by a metric no run has", one, 100, _ => "", ["metrics.none DESC"]);
        yield return new("newest runs, 50 pages on", one, 100, _ => "", [], Depth: 50);
        yield return new("by a metric, 50 pages on", one, 100, _ => "", ["metrics.m07 DESC"], Depth: 50);
        yield return new("metric > t (a tenth), by another metric, 50 pages on", one, 100, _ => $"metrics.m03 > {F(4 * .9)}", ["metrics.m07 DESC"], Depth: 5);
        yield return new("two metrics of which no run has both", one, 100, _ => $"metrics.m03 > {F(4 * .8)} and metrics.m19 < {F(20 * .2)}", ["metrics.m11 DESC"]);
        yield return new("by the end's time", one, 100, _ => "", ["end_time DESC"]);
    }

    private static async Task<string?> DeepAsync(LoadTenant tenant, Search search, Random random)
    {
        string? token = null;
        for (var page = 0; page < search.Depth; page++)
        {
            var body = search.Body(random);
            (body["page_token"], body["max_results"]) = (token, 1000);
            token = (await tenant.MlflowAsync("runs/search", body))["next_page_token"]?.ToString() ?? token;
        }

        return token;
    }

    private static async Task FillAsync(RunningPlatform platform, int runs)
    {
        await using var connection = await platform.OwnerAsync();
        // Indexes over values are made afterwards, as a restore would: with them in place, millions of rows in no order take an hour.
        List<(string Name, string Definition)> indexes = [];
        await using (var list = new NpgsqlCommand("select indexname, indexdef from pg_indexes where schemaname = 'registry' and (indexname like 'run%\\_by\\_%' or indexname like 'run%wards')", connection))
        await using (var reader = await list.ExecuteReaderAsync())
        {
            while (await reader.ReadAsync()) indexes.Add((reader.GetString(0), reader.GetString(1)));
        }

        foreach (var (name, _) in indexes) await ExecuteAsync($"drop index registry.{name}");
        await ExecuteAsync("""
            insert into registry.experiments (tenant_id, experiment_id, name, artifact_location, created_at, updated_at)
            select 'searching', i, 'experiment ' || i, 'mlflow-artifacts:/' || i, 0, 0 from generate_series(1, 11) i
            """);
        await ExecuteAsync($"""
            create temporary table made as select i, (lpad(to_hex(1700000000000 + i * 1000), 12, '0') || '7' || lpad(to_hex((random() * 4095)::int), 3, '0') || '8' || lpad(to_hex((random() * 4095)::int), 3, '0') || lpad(to_hex(i), 12, '0'))::uuid as run_id,
                case when i % 10 = 0 then 2 + (i / 10) % 10 else 1 end as experiment_id, 1700000000000 + i * 1000 as start_time from generate_series(1::bigint, {runs}) i
            """);
        await ExecuteAsync("""
            insert into registry.runs (tenant_id, run_id, experiment_id, name, user_id, status, start_time, end_time, artifact_uri)
            select 'searching', run_id, experiment_id, 'run ' || i, 'user ' || i % 20, 'FINISHED', start_time, start_time + (random() * 1e6)::bigint, 'mlflow-artifacts:/' || experiment_id || '/' || replace(run_id::text, '-', '') || '/artifacts' from made order by i
            """);
        // m19 goes against m03, so that a search for both at their best ends finds nothing.
        await ExecuteAsync("""
            insert into registry.run_metrics (tenant_id, run_id, experiment_id, key, value, timestamp, step)
            select 'searching', run_id, experiment_id, 'm' || lpad(k::text, 2, '0'), case when k = 19 then 20 * third else (k + 1) * case when k = 3 then third else random() end end, start_time, 10
            from (select *, random() as third from made order by i) each_run, generate_series(0, 19) k
            """);
        await ExecuteAsync("""
            insert into registry.run_params (tenant_id, run_id, experiment_id, start_time, key, value)
            select 'searching', run_id, experiment_id, start_time, p.key, p.value from made,
                lateral (values ('lr', '0.' || (i / 10) % 10), ('depth', ((i * 7919) % 20)::text), ('seed', i::text), ('model', 'net-' || (i * 31) % 100), ('optimizer', 'adam')) p (key, value) order by i
            """);
        await ExecuteAsync("""
            insert into registry.run_tags (tenant_id, run_id, experiment_id, start_time, key, value)
            select 'searching', run_id, experiment_id, start_time, t.key, t.value from made,
                lateral (values ('mlflow.runName', 'run ' || i), ('mlflow.user', 'user ' || i % 20), ('team', 'team ' || (i * 13) % 8), ('commit', 'c' || (i * 37) % 1000), ('mlflow.source.name', 'train.py')) t (key, value) order by i
            """);
        foreach (var (_, definition) in indexes) await ExecuteAsync(definition);
        await ExecuteAsync("vacuum analyze registry.runs, registry.run_metrics, registry.run_params, registry.run_tags");

        async Task ExecuteAsync(string sql)
        {
            await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 0 };
            await command.ExecuteNonQueryAsync();
        }
    }

    private static async Task<long> BytesAsync(RunningPlatform platform)
    {
        await using var connection = await platform.OwnerAsync();
        await using var command = new NpgsqlCommand("select sum(pg_total_relation_size(c.oid))::bigint from pg_class c where c.relnamespace = 'registry'::regnamespace and c.relkind = 'r' and c.relname like 'run%'", connection);
        return (long)(await command.ExecuteScalarAsync())!;
    }

    private sealed record Search(string What, string[] Experiments, int Page, Func<Random, string> Filter, string[] OrderBy, int Depth = 0)
    {
        public JsonObject Body(Random random) => new()
        {
            ["experiment_ids"] = new JsonArray([.. Experiments.Select(e => (JsonNode)e)]),
            ["filter"] = Filter(random),
            ["order_by"] = new JsonArray([.. OrderBy.Select(o => (JsonNode)o)]),
            ["max_results"] = Page,
        };
    }
}
