using System.Globalization;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Platform.Registry.Tracking;
using Platform.Testing;

namespace Registry.Tests.Mlflow;

/// <summary>Searches are held against the same search made in memory, on runs with missing values, NaN, infinities and many ties.</summary>
public sealed class SearchRunsTests(SearchRunsTests.Searched searched) : IClassFixture<SearchRunsTests.Searched>
{
    private static readonly string[] Filters =
    [
        "", "metrics.a > 2", "metrics.a <= 2 and metrics.b != 1", "metrics.a = 3", "metrics.b >= -1 and params.lr = '0.1'", "params.lr != '0.1'", "params.lr LIKE '0.%'", "params.lr LIKE '%1'",
        "tags.team ILIKE 'RED%'", "tags.team = 'red'", "tags.team IS NULL", "params.lr IS NOT NULL and metrics.a > 1", "status = 'FINISHED'", "start_time >= 5 and metrics.a < 4", "run_name = 'run 7'",
        "attributes.run_name LIKE 'run 1%'", "datasets.name = 'houses'", "dataset.context = 'train' and metrics.a > 0", "metrics.nothing > 0", "dataset.digest IN ('d1', 'd2')",
        "tags.size = 'large' and metrics.a > 1", "metrics.a > 1 and metrics.b < 3 and datasets.name = 'houses'",
    ];

    private static readonly string[][] Orders =
    [
        [], ["start_time ASC"], ["metrics.a DESC"], ["metrics.a ASC"], ["metrics.b ASC", "metrics.a DESC"], ["params.lr DESC"], ["params.lr ASC", "metrics.a DESC"], ["tags.team ASC"], ["tags.team DESC"], ["tags.size DESC"], ["tags.size ASC"],
        ["end_time DESC"], ["end_time ASC", "metrics.a DESC"], ["status ASC", "metrics.b DESC"], ["run_name DESC"], ["metrics.nothing DESC"],
    ];

    [Theory]
    [InlineData(0)] // along the order
    [InlineData(10_000)] // from what the filter matches
    [InlineData(-1)] // what all comparisons match, gathered and sorted
    [InlineData(-2)] // the same, looked into along the order
    public async Task Every_filter_in_every_order_gives_what_it_gives_in_memory_page_by_page(int fewEnough)
    {
        var search = new RunSearch(searched.Tenant.App.Services.GetRequiredService<TrackingDatabase>()) { FewEnough = fewEnough < 0 ? 0 : fewEnough, Freely = fewEnough < 0, FewGathered = fewEnough == -2 ? 0 : 5_000 };
        foreach (var filter in Filters)
        {
            foreach (var clauses in Orders)
            {
                var (parsed, order) = (SearchFilter.Parse(filter).Value, clauses.Select(c => SearchFilter.ParseOrder(c).Value).ToArray());
                foreach (var experiments in new[] { searched.Experiments[..1], searched.Experiments })
                {
                    var expected = InMemory(searched.Runs.Where(r => experiments.Contains(r.Info.ExperimentId)), parsed, order).Select(r => r.Info.Name).ToArray();
                    List<string> found = [];
                    var token = RunToken.Start;
                    while (true)
                    {
                        var page = await search.SearchAsync(searched.Tenant.Id, experiments, Lifecycle.Active, parsed, order, 7, token, default);
                        found.AddRange(page.Runs.Select(r => r.Info.Name));
                        if (page.Next is null) break;
                        page.Runs.Count.ShouldBe(7);
                        token = RunToken.Read(page.Next, order).Value;
                    }

                    string.Join(", ", found).ShouldBe(string.Join(", ", expected), $"'{filter}' by [{string.Join(", ", clauses)}] in {experiments.Length}");
                }
            }
        }
    }

    [Fact]
    public async Task A_page_by_count_is_taken_from_callers_that_make_up_their_tokens_and_nonsense_is_refused()
    {
        var developer = searched.Tenant.Developer;
        var ids = searched.Experiments.Select(e => e.ToString()).ToArray();
        var all = await developer.OkAsync("POST", "runs/search", new { experiment_ids = ids });
        var rest = await developer.OkAsync("POST", "runs/search", new { experiment_ids = ids, page_token = "eyJvZmZzZXQiOiA1fQ==", max_results = 3 });
        Names(rest).ShouldBe(Names(all).Skip(5).Take(3));
        var further = await developer.OkAsync("POST", "runs/search", new { experiment_ids = ids, page_token = rest.GetProperty("next_page_token").GetString(), max_results = 3 });
        Names(further).ShouldBe(Names(all).Skip(8).Take(3));
        foreach (var token in new[] { "eyJvZmZzZXQiOiAwfQ==", "e30=", "nonsense", "W10=" })
        {
            await developer.RefusesAsync("POST", "runs/search", new { experiment_ids = ids, page_token = token }, 400, "INVALID_PARAMETER_VALUE");
        }

        // A token of another order is none of this search's.
        var ordered = await developer.OkAsync("POST", "runs/search", new { experiment_ids = ids, max_results = 2, order_by = new[] { "metrics.a DESC" } });
        await developer.RefusesAsync("POST", "runs/search", new { experiment_ids = ids, page_token = ordered.GetProperty("next_page_token").GetString(), order_by = new[] { "params.lr" } }, 400, "INVALID_PARAMETER_VALUE");
    }

    [Fact]
    public async Task Deleted_runs_are_found_when_they_are_asked_for_and_wrong_searches_are_told()
    {
        var tenant = await TestTenant.NewAsync();
        var (kept, gone) = (await tenant.NewRunAsync(start: 2), await tenant.NewRunAsync(start: 1));
        await tenant.Developer.OkAsync("POST", "runs/delete", new { run_id = gone });
        foreach (var (view, expected) in new[] { ("ACTIVE_ONLY", new[] { kept }), ("DELETED_ONLY", [gone]), ("ALL", [kept, gone]) })
        {
            var found = await tenant.Viewer.OkAsync("POST", "runs/search", new { experiment_ids = new[] { "0" }, run_view_type = view });
            found.GetProperty("runs").EnumerateArray().Select(r => r.GetProperty("info").GetProperty("run_id").GetString()).ShouldBe(expected);
        }

        foreach (var body in new object[] { new { filter = "metrics.a OR 1" }, new { order_by = new[] { "metrics.a DOWN" } }, new { max_results = 0 }, new { max_results = 50_001 }, new { run_view_type = "SOME" }, new { filter = 5 }, new { experiment_ids = "0" } })
        {
            await tenant.Viewer.RefusesAsync("POST", "runs/search", body, 400, "INVALID_PARAMETER_VALUE");
        }

        (await tenant.Viewer.OkAsync("POST", "runs/search", new { experiment_ids = new[] { "77", "no-number" } })).EnumerateObject().ShouldBeEmpty();
    }

    private static IEnumerable<string> Names(JsonElement found) => found.GetProperty("runs").EnumerateArray().Select(r => r.GetProperty("info").GetProperty("run_name").GetString()!);

    private static IEnumerable<Run> InMemory(IEnumerable<Run> runs, IReadOnlyList<Comparison> filter, IReadOnlyList<OrderKey> order)
    {
        var sorted = runs.Where(r => filter.All(c => Matches(r, c))).OrderBy(_ => 0);
        foreach (var key in order)
        {
            sorted = sorted.ThenBy(r => ValueOf(r, key.Field, key.Key) switch { null => 2, double.NaN => 1, _ => 0 });
            var comparer = Comparer<object?>.Create((a, b) => a is string text ? string.CompareOrdinal(text, (string)b!) : Comparer<object>.Default.Compare(a, b));
            sorted = key.Descending ? sorted.ThenByDescending(r => ValueOf(r, key.Field, key.Key), comparer) : sorted.ThenBy(r => ValueOf(r, key.Field, key.Key), comparer);
        }

        return sorted.ThenByDescending(r => r.Info.StartTime).ThenBy(r => r.Info.Id.ToString("N"), StringComparer.Ordinal);
    }

    private static object? ValueOf(Run run, RunField field, string key) => field switch
    {
        RunField.Metric => run.Metrics.SingleOrDefault(m => m.Key == key)?.Value,
        RunField.Param => run.Params.SingleOrDefault(p => p.Key == key)?.Value,
        RunField.Tag => run.Tags.SingleOrDefault(t => t.Key == key)?.Value,
        _ => key switch { "start_time" => run.Info.StartTime, "end_time" => run.Info.EndTime, "status" => run.Info.Status, "run_name" => run.Info.Name, _ => throw new ArgumentException(key) },
    };

    private static bool Matches(Run run, Comparison c)
    {
        if (c.Field is RunField.Dataset)
        {
            return run.Inputs.Any(i => (c.Key switch { "name" => i.Name, "digest" => i.Digest, _ => i.Tags.SingleOrDefault(t => t.Key == "mlflow.data.context")?.Value }) is { } text && c.Texts.Contains(text));
        }

        var value = ValueOf(run, c.Field, c.Key);
        if (c.Comparator is Comparator.IsNull or Comparator.IsNotNull) return value is null == c.Comparator is Comparator.IsNull;
        if (value is null) return false;
        if (c.Number is { } number)
        {
            var actual = Convert.ToDouble(value, CultureInfo.InvariantCulture);
            return c.Comparator switch
            {
                Comparator.Equal => actual == number,
                Comparator.NotEqual => actual != number,
                Comparator.Less => actual < number,
                Comparator.LessOrEqual => actual <= number,
                Comparator.Greater => actual > number,
                _ => actual >= number,
            };
        }

        return c.Comparator switch
        {
            Comparator.Equal => (string)value == c.Texts[0],
            Comparator.NotEqual => (string)value != c.Texts[0],
            _ => SearchFilter.IsLike((string)value, c.Texts[0], c.Comparator is Comparator.ILike),
        };
    }

    /// <summary>Forty runs in two experiments, some with each oddity.</summary>
    public sealed class Searched : IAsyncLifetime
    {
        internal TestTenant Tenant { get; private set; } = null!;

        internal long[] Experiments { get; private set; } = [];

        internal List<Run> Runs { get; } = [];

        public async Task InitializeAsync()
        {
            Tenant = await TestTenant.NewAsync();
            Experiments = [long.Parse(await Tenant.NewExperimentAsync("one")), long.Parse(await Tenant.NewExperimentAsync("two"))];
            var runs = Tenant.App.Services.GetRequiredService<RunStore>();
            var random = new Random(5);
            double[] values = [double.NaN, double.PositiveInfinity, double.NegativeInfinity, 0, 1, 1, 2, 3, 3, 4.5];
            for (var i = 0; i < 40; i++)
            {
                var id = Guid.CreateVersion7();
                List<Pair> tags = [new("mlflow.runName", $"run {i}")];
                if (i % 3 != 0) tags.Add(new("team", i % 2 == 0 ? "red" : "Red Sox"));
                // Shared by many, as long as an index holds it whole; and begun at the same time by threes.
                tags.Add(new("size", i % 5 == 0 ? new string('y', 200) : i % 2 == 0 ? "large" : "small"));
                await runs.CreateAsync(Tenant.Id, Experiments[i % 4 == 0 ? 1 : 0], id, $"run {i}", "u", i / 3, tags, default);
                List<Metric> metrics = [];
                if (i % 5 != 0) metrics.Add(new("a", values[random.Next(values.Length)], 1, 1));
                if (i % 4 != 1) metrics.Add(new("b", values[random.Next(values.Length)], 1, 1));
                Pair[] parameters = i % 6 == 0 ? [] : [new("lr", i % 2 == 0 ? "0.1" : i % 3 == 0 ? new string('x', 300) + i % 4 : "1")];
                (await runs.LogAsync(Tenant.Id, id, metrics, parameters, [], default)).IsOk.ShouldBeTrue();
                if (i % 7 == 0) await runs.LogInputsAsync(Tenant.Id, id, [new("houses", $"d{i % 3}", "code", "s", null, null, [new("mlflow.data.context", i % 2 == 0 ? "train" : "test")]), new("other", "d9", "code", "s", null, null, [])], default);
                if (i % 2 == 0) await runs.UpdateAsync(Tenant.Id, id, "FINISHED", 100 + (i % 9), null, default);
                Runs.Add((await runs.FindAsync(Tenant.Id, id, default))!);
            }
        }

        public Task DisposeAsync() => Task.CompletedTask;
    }
}
