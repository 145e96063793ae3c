using System.Text.Json;
using Npgsql;
using Platform.Kernel;
using static Platform.Registry.Tracking.TrackingDatabase;
using static Platform.Registry.Tracking.TrackingSchema;

namespace Platform.Registry.Tracking;

/// <param name="Next">Where the next page begins; null on the last.</param>
internal sealed record RunPage(IReadOnlyList<Run> Runs, string? Next);

/// <summary>Finds runs. A search is one statement, before which two more may look what its comparisons would leave.</summary>
/// <remarks>There are three ways to a page. Begin at the comparison that leaves least and sort what is left; or walk along the order (an index has each:
/// start time, end time, metric, parameter, tag) and test run by run until the page is full; or gather what all comparisons match together, and sort that or look into it along the order.
/// The first costs what the one comparison matches, the second what lies between two matches, the third what all comparisons match each. So a count, which stops at
/// <see cref="FewEnough"/>, decides for the first, and how many of the order's first few hundred pass the tests decides between the others.
/// The planner cannot decide it: it has no figures of one key's values, and none of how they go together.
/// A walk that meets hardly a match further on is given up after a moment, and what matches is gathered.</remarks>
internal sealed class RunSearch(TrackingDatabase database)
{
    /// <summary>Sorting this many takes about as long as walking to a full page where more match.</summary>
    internal int FewEnough { get; init; } = 3_000;

    /// <summary>Of so many that were gathered, each is soonest looked up by its key and sorted.</summary>
    internal int FewGathered { get; init; } = 5_000;

    /// <summary>Testing so many runs one by one takes about as long as reading all that a comparison matches of a million.</summary>
    private const int MostWalked = 6_000;

    /// <summary>For tests: as if each walk were given up.</summary>
    internal bool Freely { get; init; }

    /// <param name="after">A <see cref="RunPage.Next"/>, or where to begin by count, for callers that make up their own tokens.</param>
    public async Task<RunPage> SearchAsync(
        string tenant, IReadOnlyList<long> experiments, Lifecycle lifecycle, IReadOnlyList<Comparison> filter, IReadOnlyList<OrderKey> order, int limit, RunToken after, CancellationToken ct)
    {
        if (experiments.Count == 0) return new([], null);
        var sql = new RunSearchSql(tenant, experiments, lifecycle, filter, order, limit + 1, after);
        Comparison? begin = null;
        var gather = Freely;
        var counted = filter.Where(RunSearchSql.CanBegin).ToArray();
        if (counted.Length > 0)
        {
            var counts = await database.ReadAsync(tenant, [sql.Count(counted, FewEnough + 1)], row => (int)row.GetInt64(0), ct);
            var least = counts.Min();
            if (least == 0) return new([], null);
            if (least <= FewEnough) begin = counted[counts.IndexOf(least)];
            else gather = gather || await WalkedAsync() > MostWalked * counted.Length;
        }

        var found = gather ? await GatherAsync() : begin is null && filter.Count > 0 ? await WalkAsync() : await ReadAsync(sql.Search(begin), Planning.ByKey);
        var page = found.OrderBy(f => f.Nth).ToArray();
        if (page.Length <= limit) return new([.. page.Select(f => f.Run)], null);
        var last = page[limit - 1];
        return new([.. page.Take(limit).Select(f => f.Run)], after.Next(last.Keys, last.Run.Info, limit));

        async Task<List<(long Nth, Run Run, KeyValue[] Keys)>> WalkAsync()
        {
            try
            {
                return await ReadAsync(sql.Search(null), Planning.ByKeyOrGiveUp);
            }
            catch (PostgresException slow) when (slow.SqlState is PostgresErrorCodes.QueryCanceled && !ct.IsCancellationRequested)
            {
                return await GatherAsync();
            }
        }

        Task<List<(long Nth, Run Run, KeyValue[] Keys)>> GatherAsync() => ReadAsync(sql.Gather(FewGathered), counted.Length > 0 ? Planning.ByKeyInMemory : Planning.Free);

        // How many runs a walk would test, if it went on as it begins.
        async Task<double> WalkedAsync()
        {
            if (sql.Sample() is not { } sample) return double.PositiveInfinity;
            var (tested, passed, others, passedOthers) = (await database.ReadAsync(tenant, [sample], row => (row.GetInt64(0), row.GetInt64(1), row.GetInt64(2), row.GetInt64(3)), ct)).Single();
            double wanted = limit + 1 + after.Offset;
            return experiments.Count * (passed >= wanted || others == 0 ? wanted * tested / Math.Max(passed, .5) : tested + ((wanted - passed) * others / Math.Max(passedOthers, .5)));
        }

        Task<List<(long Nth, Run Run, KeyValue[] Keys)>> ReadAsync(NpgsqlBatchCommand search, Planning planning) =>
            database.ReadAsync(tenant, [search], row => (row.GetInt64(19), RunStore.Of(row), Keys(row)), ct, planning);

        KeyValue[] Keys(NpgsqlDataReader row) => [.. order.Select((_, i) => new KeyValue(row.GetInt32(20 + (2 * i)), row.IsDBNull(21 + (2 * i)) ? null : row.GetValue(21 + (2 * i))))];
    }
}

/// <param name="Class">0 is a value, 1 is NaN, 2 is missing.</param>
internal sealed record KeyValue(int Class, object? Value);

/// <summary>Where a page begins: after the last run of the page before, or after so many runs.</summary>
internal sealed record RunToken(long Offset, IReadOnlyList<KeyValue>? Keys, long StartTime, Guid RunId)
{
    public static readonly RunToken Start = new(0, null, 0, default);

    public string Next(IReadOnlyList<KeyValue> keys, RunInfo last, int limit) => Offset > 0
        ? Convert.ToBase64String(JsonSerializer.SerializeToUtf8Bytes(new { offset = Offset + limit }))
        : Convert.ToBase64String(JsonSerializer.SerializeToUtf8Bytes(new
        {
            keys = keys.Select(k => new { c = k.Class, n = k.Value is long whole ? whole : (long?)null, d = k.Value is double number && k.Class == 0 ? BitConverter.DoubleToInt64Bits(number) : (long?)null, t = k.Value as string }),
            start = last.StartTime,
            run = last.Id,
        }));

    /// <summary>The token, or a refusal: it is opaque, and yet a caller may have cut it off or have made one up.</summary>
    public static Result<RunToken> Read(string? token, IReadOnlyList<OrderKey> order)
    {
        if (string.IsNullOrEmpty(token)) return Start;
        try
        {
            using var json = JsonDocument.Parse(Convert.FromBase64String(token));
            var root = json.RootElement;
            if (root.TryGetProperty("offset", out var offset)) return offset.TryGetInt64(out var skip) && skip > 0 ? Start with { Offset = skip } : Bad();
            var keys = root.GetProperty("keys").EnumerateArray().Select(k => new KeyValue(k.GetProperty("c").GetInt32(),
                k.GetProperty("n") is { ValueKind: JsonValueKind.Number } whole ? whole.GetInt64()
                : k.GetProperty("d") is { ValueKind: JsonValueKind.Number } bits ? BitConverter.Int64BitsToDouble(bits.GetInt64())
                : k.GetProperty("t").GetString())).ToArray();
            var fits = keys.Length == order.Count && keys.Zip(order).All(both => both.First is { Class: 1 or 2, Value: null } || (both.First.Class == 0 && both.First.Value?.GetType() == RunSearchSql.TypeOf(both.Second)));
            return fits ? new RunToken(0, keys, root.GetProperty("start").GetInt64(), root.GetProperty("run").GetGuid()) : Bad();
        }
        catch (Exception broken) when (broken is FormatException or JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return Bad();
        }
    }

    private static Refusal Bad() => Refusal.Invalid("INVALID_PARAMETER_VALUE", "Invalid page token: it is not one of this search's.", "page_token");
}

/// <summary>The SQL of one search.</summary>
internal sealed class RunSearchSql(string tenant, IReadOnlyList<long> experiments, Lifecycle lifecycle, IReadOnlyList<Comparison> filter, IReadOnlyList<OrderKey> order, int limit, RunToken after)
{
    private const string DatasetContext = "context", StartTime = "start_time", EndTime = "end_time";

    /// <summary>So many tell what a walk would meet.</summary>
    private const int Sampled = 400;

    /// <summary>The run <c>r</c>'s experiment. OFFSET 0 has it looked up for each run: as a join it might come first, and the runs be tested once for each experiment.</summary>
    private const string ItsExperiment = "cross join lateral (select x.deleted from registry.experiments x where x.tenant_id = $1 and x.experiment_id = r.experiment_id offset 0) e";

    private SqlValues values = new();

    /// <summary>The comparison along whose index the newest come first.</summary>
    private Comparison? Along => filter.FirstOrDefault(c => c is { Field: RunField.Param or RunField.Tag, Comparator: Comparator.Equal });

    /// <summary>Whether a search can begin at what the comparison matches: an index has it.</summary>
    public static bool CanBegin(Comparison comparison) => comparison switch
    {
        { Field: RunField.Metric } => comparison.Comparator is not Comparator.NotEqual,
        { Field: RunField.Param or RunField.Tag, Comparator: Comparator.Equal } => true,
        { Field: RunField.Param or RunField.Tag, Comparator: Comparator.Like } => Prefix(comparison.Texts[0]).Length > 0,
        { Field: RunField.Attribute, Key: "run_name", Comparator: Comparator.Equal } => true,
        { Field: RunField.Attribute, Key: "run_id", Comparator: Comparator.Equal or Comparator.In } => true,
        { Field: RunField.Dataset, Key: not DatasetContext, Comparator: Comparator.Equal or Comparator.In } => true,
        _ => false,
    };

    public static Type TypeOf(OrderKey key) => key.Field is RunField.Metric ? typeof(double) : key is { Field: RunField.Attribute, Key: StartTime or EndTime } ? typeof(long) : typeof(string);

    /// <summary>How many runs each comparison matches, one row each; counting stops at <paramref name="most"/>.</summary>
    public NpgsqlBatchCommand Count(IReadOnlyList<Comparison> comparisons, int most)
    {
        Begin();
        return Command(string.Join(" union all ", comparisons.Select((c, i) => $"select (select count(*) from (select 1 {Matches(c)} limit {most}) matched), {i} as nth")) + " order by nth");
    }

    /// <summary>The page with all that hangs on its runs; beginning at what <paramref name="begin"/> matches, or along the order.</summary>
    public NpgsqlBatchCommand Search(Comparison? begin)
    {
        Begin();
        var page = begin is not null
            ? $"{Select(0)} from (select distinct f.run_id {Matches(begin)} offset 0) begun join registry.runs r on r.tenant_id = $1 and r.run_id = begun.run_id {ItsExperiment} {Joins(0)} where {Where([begin])} and {Beyond(0)} {OrderBy(0)}"
            : string.Join(" union all ", Walks([], "").Select(walk => $"({walk})"));
        return Page(page);
    }

    /// <summary>The same page from what all of the comparisons match together that an index has: a set in memory, which is sorted where it is small, and else
    /// looked into along the order.</summary>
    /// <param name="few">Small is up to this.</param>
    /// <remarks>IS TRUE keeps each IN a look into a set: as a join it might come in any order.</remarks>
    public NpgsqlBatchCommand Gather(int few)
    {
        Begin();
        Comparison[] begun = [.. filter.Where(CanBegin)];
        if (begun.Length == 0)
        {
            // Nothing to gather: all runs are read and tested, as the planner likes.
            return Page($"{Select(0)} from registry.runs r {ItsExperiment} {Joins(0)} where r.tenant_id = $1 and r.experiment_id = any ($2) and {Where([], freely: true)} and {Beyond(0)} {OrderBy(0)}");
        }

        var begunIn = string.Concat(begun.Skip(1).Select(c => $" and (f.run_id in (select o.run_id {Matches(c, "o")})) is true"));
        // Only of a run's datasets may several match one comparison.
        var common = $"begun as materialized (select {(begun[0].Field is RunField.Dataset ? "distinct " : "")}f.run_id {Matches(begun[0])}{begunIn}), ";
        var areFew = $"(select count(*) <= {few} from (select from begun limit {few + 1}) counted)";
        var sorted = $"""
            {Select(0)} from (select run_id from begun where {areFew} limit {few} offset 0) begun join registry.runs r on r.tenant_id = $1 and r.run_id = begun.run_id {ItsExperiment} {Joins(0)}
            where {Where(begun)} and {Beyond(0)} {OrderBy(0)} limit {limit + after.Offset}
            """;
        return Page(string.Join(" union all ", Walks(begun, $" and not {areFew}").Prepend(sorted).Select(walk => $"({walk})")), common);
    }

    /// <summary>How many are the first runs of the order and how many of them pass all tests; where they are few, the same of others, which lack what is ordered by.
    /// Null where no index has the order, so that a walk reads the experiment through.</summary>
    public NpgsqlBatchCommand? Sample()
    {
        if (order is [{ Field: RunField.Attribute, Key: not (StartTime or EndTime) }, ..]) return null;
        Begin();
        var each = (Sampled + experiments.Count - 1) / experiments.Count;
        const string ofExperiment = "s.tenant_id = $1 and s.experiment_id = x.experiment_id";
        var newest = $"from registry.runs s where {ofExperiment}{(order.Count == 0 && after.Keys is not null ? $" and s.start_time <= {P(after.StartTime)}" : "")} order by s.start_time desc limit {each}";
        var (first, lacking) = order switch
        {
            [] when Along is { } along => ($"from {Table(along.Field)} s where {ofExperiment} and {Tests(along, "s")} order by s.start_time desc limit {each}", ""),
            [] => (newest, ""),
            [{ Field: RunField.Attribute } key, ..] => ($"from registry.runs s where {ofExperiment} and s.{key.Key} is not null{From(key.Key)}", " and r.end_time is null"),
            [var key, ..] => ($"from {Table(key.Field)} s where {ofExperiment} and s.key = {P(key.Key)}{(key.Field is RunField.Metric ? $" and s.value < 'NaN'{From("value")}" : From("head"))}",
                $" and not exists (select 1 from {Table(key.Field)} f where f.tenant_id = $1 and f.run_id = r.run_id and f.key = {P(key.Key)} offset 0)"),
        };
        List<string> parts = [];
        if (after.Keys is not [{ Class: > 0 }, ..]) parts.Add($"(select s.run_id, true as ordered {first})");
        if (order.Count > 0) parts.Add($"(select s.run_id, false as ordered {newest})");
        var passes = Where([]);
        return Command($"""
            select count(*) filter (where o.ordered), count(*) filter (where o.ordered and {passes}), count(*) filter (where not o.ordered), count(*) filter (where not o.ordered{lacking} and {passes})
            from registry.experiments x cross join lateral (select * from ({string.Join(" union all ", parts)}) o limit {each}) o
            join registry.runs r on r.tenant_id = $1 and r.run_id = o.run_id {ItsExperiment} where x.tenant_id = $1 and x.experiment_id = any ($2)
            """);

        string From(string column)
        {
            var reached = after.Keys is [{ Class: 0, Value: var last }, ..] ? $" and s.{column} {Symbol(0)}= {(last is string ? Head(P(last)) : P(last))}" : "";
            return $"{reached} order by s.{column}{(order[0].Descending ? " desc" : "")} limit {each}";
        }
    }

    private NpgsqlBatchCommand Page(string page, string before = "") => Command($"""
            with {before}page as materialized (select *, row_number() over () as nth from (select * from ({page}) walked limit {limit} offset {after.Offset}) found)
            select {RunStore.Columns}, page.nth{string.Concat(order.Select((_, i) => $", page.c{i}, page.v{i}"))} from page join registry.runs r on r.tenant_id = $1 and r.run_id = page.run_id {RunStore.Parts}
            """);

    /// <summary>Along the order: where its first key is a metric, parameter or tag, first the runs that have it, in its index's order, then those where it is NaN,
    /// then those without it. Each is made only when those before have not filled the page.</summary>
    /// <param name="gathered">What has been gathered before as <c>begun</c>, which each run must be among.</param>
    /// <param name="when">A condition on all of it.</param>
    private IEnumerable<string> Walks(Comparison[] gathered, string when)
    {
        const string runs = "registry.runs r", ofExperiment = "r.tenant_id = $1 and r.experiment_id = e.experiment_id";
        if (order is [] && Along is { } along)
        {
            // What has the value is in its index in the order of the start.
            yield return Each($"""
                {Select(0)} from {Table(along.Field)} o join registry.runs r on r.tenant_id = $1 and r.run_id = o.run_id where o.tenant_id = $1 and o.experiment_id = e.experiment_id and {Tests(along, "o")}
                and {Passes("o.run_id", along)} and {Beyond(0, "o")} order by o.start_time desc, o.run_id
                """, 0);
            yield break;
        }

        if (order is [] or [{ Field: RunField.Attribute, Key: not EndTime }, ..])
        {
            yield return Each($"{Select(0)} from {runs} {Joins(0)} where {ofExperiment} and {Passes()} and {Beyond(0)} {OrderBy(0)}", 0);
            yield break;
        }

        var (first, reached) = (order[0], after.Keys?[0].Class ?? 0);
        if (first.Field is RunField.Attribute)
        {
            // The only one that may be missing: those that have ended in its index's order, then those that have not.
            if (reached == 0) yield return Each($"{Select(1, "0", "r.end_time")} from {runs} {Joins(1)} where {ofExperiment} and r.end_time is not null and {Passes()} and {BeyondFirst()} order by r.end_time{(first.Descending ? " desc" : "")}, {Rest(1)}", 0);
            yield return Each($"{Select(1, "2", "null::bigint")} from {runs} {Joins(1)} where {ofExperiment} and r.end_time is null and {Passes()} and {(reached == 2 ? Beyond(1) : "true")} {OrderBy(1)}", 1);
            yield break;
        }

        var held = $"from {Table(first.Field)} o0 join registry.runs r on r.tenant_id = $1 and r.run_id = o0.run_id {Joins(1)} where o0.tenant_id = $1 and o0.experiment_id = e.experiment_id and o0.key = {P(first.Key)}";
        var (isMetric, direction) = (first.Field is RunField.Metric, first.Descending ? " desc" : "");
        if (reached == 0)
        {
            var cut = "";
            if (!isMetric && order.Count == 1 && after.Keys?[0].Value is null or string { Length: <= Longest })
            {
                // Where no value is longer than its head, the index has the whole order: first what shares the value of the page before, then what is beyond it.
                cut = $"exists (select 1 from {Table(first.Field)} f where f.tenant_id = $1 and f.experiment_id = any ($2) and f.key = {P(first.Key)} and f.cut)";
                var (walk, inOrder) = ($"{Select(1, "0", "o0.value")} {held} and not {cut} and {Passes("o0.run_id")}", $"order by o0.head{direction}, o0.start_time desc, o0.run_id");
                if (after.Keys is [{ Value: var last }])
                {
                    yield return Each($"{walk} and o0.head = {P(last)} and {Beyond(1, "o0")} order by o0.start_time desc, o0.run_id", 0);
                    walk += $" and o0.head {Symbol(0)} {P(last)}";
                }

                yield return Each($"{walk} {inOrder}", 0);
                cut = $" and {cut}";
            }

            var sorted = isMetric ? $"o0.value{direction}" : $"o0.head{direction}, o0.value{direction}";
            yield return Each($"{Select(1, "0", "o0.value")} {held}{(isMetric ? " and o0.value < 'NaN'" : cut)} and {Passes("o0.run_id")} and {BeyondFirst()} order by {sorted}, {Rest(1)}", 0);
        }

        if (isMetric && reached <= 1)
        {
            yield return Each($"{Select(1, "1", "null::double precision")} {held} and o0.value = 'NaN' and {Passes("o0.run_id")} and {(reached == 1 ? Beyond(1) : "true")} {OrderBy(1)}", 1);
        }

        yield return Each($"""
            {Select(1, "2", isMetric ? "null::double precision" : "null::text")} from {runs} {Joins(1)} where {ofExperiment}
            and not exists (select 1 from {Table(first.Field)} f where f.tenant_id = $1 and f.run_id = r.run_id and f.key = {P(first.Key)} offset 0)
            and {Passes()} and {(reached == 2 ? Beyond(1) : "true")} {OrderBy(1)}
            """, 1);

        string Passes(string run = "r.run_id", params ReadOnlySpan<Comparison> but) =>
            Where([.. gathered, .. but], run: run) + (gathered.Length == 0 ? "" : $"{when} and ({run} in (select run_id from begun)) is true");

        // Each experiment's own walk stops when it has a page.
        string Each(string walk, int from) =>
            $"select w.* from registry.experiments e cross join lateral ({walk} limit {limit + after.Offset}) w where e.tenant_id = $1 and e.experiment_id = any ($2)"
            + (experiments.Count == 1 ? "" : $" order by {string.Join(", ", order.Select((o, i) => $"w.c{i}, w.v{i}{(o.Descending ? " desc" : "")}").Skip(from).Append("w.start_time desc, w.run_id"))} limit {limit + after.Offset}");
    }

    private string Select(int from, string firstClass = "", string firstValue = "") =>
        "select r.run_id, r.start_time" + string.Concat(order.Select((_, i) => i < from ? $", {firstClass} as c0, {firstValue} as v0" : $", {Class(i)} as c{i}, {Value(i)} as v{i}"));

    private string OrderBy(int from) => "order by " + Rest(from);

    private string Rest(int from) => string.Join(", ", order.Select((o, i) => Sorted(o, i)).Skip(from).Append("r.start_time desc, r.run_id"));

    /// <summary>Attributes that are always there are ordered by alone, as their index is.</summary>
    private string Sorted(OrderKey key, int i) => (Class(i) is "0" ? "" : $"{Class(i)}, ") + Value(i) + (key.Descending ? " desc" : "");

    /// <summary>What comes after the last run of the page before, by the keys from this one on.</summary>
    /// <param name="run">The row that has its start and its id, in the index that is walked.</param>
    private string Beyond(int key, string run = "r")
    {
        if (after.Keys is not { } last) return "true";
        if (key == order.Count)
        {
            var start = P(after.StartTime);
            return $"{run}.start_time <= {start} and ({run}.start_time < {start} or {run}.run_id > {P(after.RunId)})";
        }

        if (last[key].Class > 0) return $"({Class(key)} > {last[key].Class} or ({Class(key)} = {last[key].Class} and {Beyond(key + 1)}))";
        var (value, parameter) = (Value(key), P(last[key].Value));
        return $"({Class(key)} > 0 or ({Class(key)} = 0 and ({value} {Symbol(key)} {parameter} or ({value} = {parameter} and {Beyond(key + 1)}))))";
    }

    /// <summary>The same where the first key has a value, in a form that its index can begin at.</summary>
    private string BeyondFirst()
    {
        if (after.Keys is not { } last) return "true";
        var parameter = P(last[0].Value);
        var value = Value(0);
        var reached = order[0].Field is RunField.Param or RunField.Tag ? $"o0.head {Symbol(0)}= {Head(parameter)}" : $"{value} {Symbol(0)}= {parameter}";
        return $"{reached} and ({value} {Symbol(0)} {parameter} or ({value} = {parameter} and {Beyond(1)}))";
    }

    private char Symbol(int key) => order[key].Descending ? '<' : '>';

    private string Class(int key) => order[key] switch
    {
        { Field: RunField.Metric } => $"case when o{key}.value is null then 2 when o{key}.value = 'NaN' then 1 else 0 end",
        { Field: RunField.Attribute, Key: EndTime } => "case when r.end_time is null then 2 else 0 end",
        { Field: RunField.Attribute } => "0",
        _ => $"case when o{key}.value is null then 2 else 0 end",
    };

    private string Value(int key) => order[key].Field is RunField.Attribute ? Attribute(order[key].Key) : $"o{key}.value";

    private static string Attribute(string key) => key switch
    {
        "run_id" => "replace(r.run_id::text, '-', '')",
        "run_name" => "r.name",
        _ => $"r.{key}",
    };

    private string Joins(int from) => string.Concat(order.Select((o, i) => i < from || o.Field is RunField.Attribute ? ""
        : $" left join {Table(o.Field)} o{i} on o{i}.tenant_id = $1 and o{i}.run_id = r.run_id and o{i}.key = {P(o.Key)}"));

    private static string Table(RunField field) => field switch
    {
        RunField.Metric => "registry.run_metrics",
        RunField.Param => "registry.run_params",
        RunField.Tag => "registry.run_tags",
        _ => "registry.run_inputs",
    };

    /// <summary>All comparisons of the run <c>r</c> but those that were begun at. OFFSET 0 keeps each a test of one run by key: as a join it might come first.</summary>
    /// <param name="run">Where the run's id is found soonest: a test of the order's own row spares the look at the run.</param>
    private string Where(IReadOnlyList<Comparison> begun, bool freely = false, string run = "r.run_id")
    {
        var apart = freely ? "" : " offset 0";
        var lives = lifecycle is Lifecycle.All ? "true" : lifecycle is Lifecycle.Active ? "not (r.deleted or e.deleted)" : "(r.deleted or e.deleted)";
        var tests = filter.Where(c => !begun.Contains(c, ReferenceEqualityComparer.Instance)).Select(c => c.Field is RunField.Attribute ? Compares(c, Attribute(c.Key))
            : c.Comparator is Comparator.IsNull ? $"not exists (select 1 from {Table(c.Field)} f where f.tenant_id = $1 and f.run_id = {run} and f.key = {P(c.Key)}{apart})"
            : $"exists (select 1 from {Table(c.Field)} f where f.tenant_id = $1 and f.run_id = {run} and {Tests(c)}{apart})");
        return string.Join(" and ", tests.Prepend(lives));
    }

    /// <summary>From and where of all runs of the experiments that the comparison matches, as <paramref name="f"/>.</summary>
    private string Matches(Comparison comparison, string f = "f") => comparison switch
    {
        { Field: RunField.Attribute, Key: "run_name" } => $"from registry.run_tags {f} where {f}.tenant_id = $1 and {f}.experiment_id = any ($2) and {Tests(comparison with { Field = RunField.Tag, Key = RunStore.NameTag }, f)}",
        { Field: RunField.Attribute } => $"from registry.runs {f} where {f}.tenant_id = $1 and {f}.experiment_id = any ($2) and {f}.run_id = any ({P(Ids(comparison.Texts))})",
        _ => $"from {Table(comparison.Field)} {f} where {f}.tenant_id = $1 and {f}.experiment_id = any ($2) and {Tests(comparison, f)}",
    };

    /// <summary>The comparison as a test of the row <paramref name="f"/>, in the form its index is in.</summary>
    private string Tests(Comparison comparison, string f = "f")
    {
        if (comparison.Field is RunField.Dataset) return Compares(comparison, $"{f}.{comparison.Key}");
        var key = $"{f}.key = {P(comparison.Key)}";
        if (comparison.Comparator is Comparator.IsNotNull) return key;
        // PostgreSQL has NaN greater than everything; to a person it is neither greater nor less.
        if (comparison.Field is RunField.Metric) return $"{key} and {Value()}{(comparison.Comparator is Comparator.NotEqual ? "" : $" and {f}.value < 'NaN'")}";
        return comparison.Comparator switch
        {
            // What the index tells is not looked up in the table.
            Comparator.Equal when !IsCut(comparison.Texts[0]) => $"{key} and {f}.head = {P(comparison.Texts[0])}",
            Comparator.Equal => $"{key} and {f}.head = {Head(P(comparison.Texts[0]))} and {Value()}",
            Comparator.Like when Prefix(comparison.Texts[0]) is { Length: > 0 } prefix =>
                $"{key} and {f}.head >= {P(prefix)} and {f}.head < {P(Beyond(prefix))}{(comparison.Texts[0] == prefix + "%" ? "" : $" and {Value()}")}",
            _ => $"{key} and {Value()}",
        };

        string Value() => Compares(comparison, $"{f}.value");
    }

    private static bool IsCut(string text) => text.Length > Longest && text.EnumerateRunes().Count() > Longest;

    private string Compares(Comparison comparison, string column) => ComparisonSql.Of(comparison, column, values);

    /// <summary>What a LIKE pattern begins with, as far as an index of the first 200 characters can tell.</summary>
    private static string Prefix(string pattern)
    {
        var wild = pattern.IndexOfAny(['%', '_']);
        var length = Math.Min(wild < 0 ? pattern.Length : wild, Longest / 2);
        // Half a character is none.
        return pattern[..(length > 0 && char.IsHighSurrogate(pattern[length - 1]) ? length - 1 : length)];
    }

    /// <summary>The least text beyond all that begin so.</summary>
    private static string Beyond(string prefix) => prefix + "\U0010FFFF";

    private static Guid[] Ids(IReadOnlyList<string> texts) => [.. texts.Select(t => Guid.TryParseExact(t, "N", out var id) ? id : Guid.Empty)];

    private void Begin() => values = new(tenant, experiments.ToArray());

    private string P(object? value) => values.Add(value);

    private NpgsqlBatchCommand Command(string sql) => Sql(sql, values.All);
}
