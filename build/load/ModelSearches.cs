using System.Diagnostics;
using System.Globalization;
using Npgsql;

namespace Platform.Load;

/// <summary>How long searches for models and versions take. One model with one version is made through the API and copied in the database, with other names, tags, runs
/// and sources; the searches go through the API, one after the other, with other values each time.</summary>
internal static class ModelSearches
{
    private const int Warm = 5;

    public static async Task<int> RunAsync(string host, string[] options)
    {
        var sizes = (Benchmarks.Option(options, "--models") ?? "10000,100000").Split(',').Select(int.Parse).ToArray();
        var times = int.Parse(Benchmarks.Option(options, "--times") ?? "40", CultureInfo.InvariantCulture);
        Console.WriteLine($"{Environment.ProcessorCount} cores, shared by server, database and caller; {times} searches of each kind.\n");
        Console.WriteLine("| models | search | page | p50 ms | p95 ms | most ms | found |");
        Console.WriteLine("|---|---|---|---|---|---|---|");
        foreach (var models in sizes)
        {
            await using var platform = await RunningPlatform.StartAsync(host);
            using var tenant = await platform.TenantAsync("searching");
            await tenant.MlflowAsync("registered-models/create", new { name = "first", tags = new[] { new { key = "team", value = "none" } } });
            await tenant.MlflowAsync("model-versions/create", new { name = "first", source = "s3://bucket/first", run_id = "run0", tags = new[] { new { key = "team", value = "none" } } });
            var began = Stopwatch.GetTimestamp();
            await FillAsync(platform, models);
            await Console.Error.WriteLineAsync($"{models:N0} models with a version each made in {Stopwatch.GetElapsedTime(began).TotalSeconds:F0} s.");
            foreach (var (what, path, filter, order, depth) in Searches(models))
            {
                var random = new Random(1);
                List<double> took = [];
                var (found, token) = (0, "");
                for (var i = -Warm - depth; i < times; i++)
                {
                    var start = Stopwatch.GetTimestamp();
                    var answer = await tenant.MlflowGetAsync($"{path}/search?max_results=100&filter={Uri.EscapeDataString(filter(random))}{(order.Length > 0 ? $"&order_by={Uri.EscapeDataString(order)}" : "")}&page_token={Uri.EscapeDataString(token)}");
                    if (i >= 0) took.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
                    found = (answer["registered_models"] ?? answer["model_versions"])?.AsArray().Count ?? 0;
                    if (depth > 0) token = answer["next_page_token"]?.ToString() ?? "";
                }

                took.Sort();
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {models:N0} | {what} | 100 | {Benchmarks.Percentile(took, .5):F1} | {Benchmarks.Percentile(took, .95):F1} | {took[^1]:F1} | {found} |"));
            }
        }

        return 0;
    }

    private static IEnumerable<(string What, string Path, Func<Random, string> Filter, string Order, int Depth)> Searches(int models)
    {
        const string Models = "registered-models", Versions = "model-versions";
        yield return ("models by name", Models, _ => "", "", 0);
        yield return ("models by name, 50 pages on", Models, _ => "", "", 50);
        yield return ("models, changed last first", Models, _ => "", "last_updated_timestamp DESC", 0);
        yield return ("models, name = v", Models, r => $"name = 'model {r.Next(models)}'", "", 0);
        yield return ("models, name LIKE '%7v%'", Models, r => $"name LIKE '%7{r.Next(10)}%'", "", 0);
        yield return ("models, name ILIKE, none found", Models, r => $"name ILIKE '%x{r.Next(10)}%'", "", 0);
        yield return ("models, tag = v (an eighth)", Models, r => $"tags.team = 'team {r.Next(8)}'", "", 0);
        yield return ("models, tag = v (a thousandth)", Models, r => $"tags.commit = 'c{r.Next(1000)}'", "", 0);
        yield return ("models, tag = v (one)", Models, r => $"tags.seed = '{r.Next(models)}'", "", 0);
        yield return ("models, two tags of which none has both", Models, _ => "tags.team = 'team 1' and tags.other = '2'", "last_updated_timestamp DESC", 0);
        yield return ("models, no prompts, tag LIKE", Models, r => $"tags.`mlflow.prompt.is_prompt` != 'true' and tags.commit LIKE 'c{r.Next(10)}%'", "", 0);
        yield return ("versions, changed last first", Versions, _ => "", "", 0);
        yield return ("versions, changed last first, 50 pages on", Versions, _ => "", "", 50);
        yield return ("versions of a model", Versions, r => $"name = 'model {r.Next(models)}'", "version_number DESC", 0);
        yield return ("versions, run_id = v", Versions, r => $"run_id = 'run{r.Next(models)}'", "", 0);
        yield return ("versions, source_path LIKE 's3://v%'", Versions, r => $"source_path LIKE 's3://bucket{r.Next(10)}%'", "", 0);
        yield return ("versions, source_path = v", Versions, r => $"source_path = 's3://bucket1/{r.Next(models)}'", "", 0);
        yield return ("versions, tag = v (a thousandth), by name", Versions, r => $"tags.commit = 'c{r.Next(1000)}'", "name ASC", 0);
    }

    private static async Task FillAsync(RunningPlatform platform, int models)
    {
        await using var connection = await platform.OwnerAsync();
        const string Tags = "jsonb_build_object('team', 'team ' || i % 8, 'commit', 'c' || i % 1000, 'seed', i::text, 'other', (i % 8)::text)", At = "to_jsonb(timestamptz '2026-01-01' + i * interval '1 minute')";
        await using var fill = new NpgsqlCommand($"""
            insert into registry.mt_doc_registeredmodel (tenant_id, id, data, mt_version, mt_dotnet_type)
            select tenant_id, 'model:model ' || i, data || jsonb_build_object('id', 'model:model ' || i, 'tags', {Tags}, 'registeredAt', {At}, 'changedAt', {At}), mt_version, mt_dotnet_type
            from registry.mt_doc_registeredmodel, generate_series(1, {models}) i where tenant_id = 'searching' and id = 'model:first';
            insert into registry.mt_doc_modelversion (tenant_id, id, data, mt_dotnet_type)
            select tenant_id, 'model ' || i || '/1', data || jsonb_build_object('id', 'model ' || i || '/1', 'model', 'model ' || i, 'tags', {Tags}, 'addedAt', {At},
                'facts', data -> 'facts' || jsonb_build_object('mlflow', data -> 'facts' -> 'mlflow' || jsonb_build_object('runId', 'run' || i, 'source', 's3://bucket' || i % 10 || '/' || i))), mt_dotnet_type
            from registry.mt_doc_modelversion, generate_series(1, {models}) i where tenant_id = 'searching' and id = 'first/1';
            """, connection) { CommandTimeout = 0 };
        await fill.ExecuteNonQueryAsync();
        await using var tidy = new NpgsqlCommand("vacuum analyze registry.mt_doc_registeredmodel, registry.mt_doc_modelversion, registry.searched_models, registry.searched_versions, registry.searched_tags", connection) { CommandTimeout = 0 };
        await tidy.ExecuteNonQueryAsync();
    }
}
