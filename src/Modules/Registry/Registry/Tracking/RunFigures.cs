using static Platform.Registry.Tracking.TrackingDatabase;

namespace Platform.Registry.Tracking;

/// <summary>What a metric was over the whole of a run.</summary>
/// <param name="Least">Of its finite values; null where it has none.</param>
/// <param name="Values">How many were logged.</param>
internal sealed record MetricFigures(Metric Latest, double? Least, double? Greatest, long Values, long FirstStep, long LastStep);

/// <summary>What is read of runs for people to look at: keys, figures, curves.</summary>
internal sealed class RunFigures(TrackingDatabase database)
{
    private const int MostKeys = 500;

    /// <summary>The keys that an experiment's runs have, by name. Each is found by a jump in the index, so that it costs what there are keys and not what there are runs.</summary>
    public Task<List<string>> KeysAsync(string tenant, long experiment, RunField field, CancellationToken ct)
    {
        var table = field switch { RunField.Metric => "registry.run_metrics", RunField.Param => "registry.run_params", _ => "registry.run_tags" };
        return database.ReadAsync(tenant,
            [
                Sql($"""
                    with recursive found (key) as (
                        (select key from {table} where tenant_id = $1 and experiment_id = $2 order by key limit 1)
                        union all
                        select next.key from found cross join lateral (select key from {table} f where f.tenant_id = $1 and f.experiment_id = $2 and f.key > found.key order by f.key limit 1) next
                    )
                    select key from found limit {MostKeys}
                    """, tenant, experiment),
            ],
            row => row.GetString(0), ct);
    }

    /// <summary>Each metric of a run, by key.</summary>
    public Task<List<MetricFigures>> MetricsAsync(string tenant, Guid run, CancellationToken ct) => database.ReadAsync(tenant,
        [
            Sql("""
                select m.key, m.value, m.timestamp, m.step, h.least, h.greatest, h.logged, h.first_step, h.last_step from registry.run_metrics m
                cross join lateral (
                    select min(value) filter (where value > '-Infinity' and value < 'Infinity') as least, max(value) filter (where value > '-Infinity' and value < 'Infinity') as greatest,
                        count(*) as logged, min(step) as first_step, max(step) as last_step
                    from registry.metric_history where tenant_id = $1 and run_id = $2 and key = m.key
                ) h
                where m.tenant_id = $1 and m.run_id = $2 order by m.key
                """, tenant, run),
        ],
        row => new MetricFigures(new(row.GetString(0), row.GetDouble(1), row.GetInt64(2), row.GetInt64(3)), row.IsDBNull(4) ? null : row.GetDouble(4), row.IsDBNull(5) ? null : row.GetDouble(5),
            row.GetInt64(6), row.GetInt64(7), row.GetInt64(8)), ct);

    /// <summary>A metric's curve: every value it ever had, in at most so many buckets. The values pass through once and are not kept.</summary>
    /// <param name="from">Of the step or, by time, of the milliseconds since 1970; so is the end.</param>
    public async Task<MetricCurve> CurveAsync(string tenant, Guid run, string key, bool byTime, long? from, long? to, int points, CancellationToken ct)
    {
        var x = byTime ? "timestamp" : "step";
        var values = $"registry.metric_history where tenant_id = $1 and run_id = $2 and key = $3 and {x} between $4 and $5";
        object?[] of = [tenant, run, key, from ?? long.MinValue, to ?? long.MaxValue];
        return (await database.RunAsync(tenant,
            [
                Sql($"select count(*), min({x}), max({x}) from {values}", of),
                // The order of the key, so that there is nothing to sort; the curve takes its values in any.
                Sql($"select {x}, timestamp, step, value from {values} order by timestamp, step, value", of),
            ],
            async reader =>
            {
                await reader.ReadAsync(ct);
                var curve = reader.GetInt64(0) == 0 ? new MetricCurve(0, 0, 0, points) : new MetricCurve(reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2), points);
                await reader.NextResultAsync(ct);
                while (await reader.ReadAsync(ct)) curve.Add(reader.GetInt64(0), (reader.GetInt64(1), reader.GetInt64(2)), reader.GetDouble(3));
                return Kernel.Result<MetricCurve>.Ok(curve);
            }, ct)).Value;
    }
}
