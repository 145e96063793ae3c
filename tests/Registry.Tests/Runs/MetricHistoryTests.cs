using CsCheck;
using Platform.Registry.Tracking;
using Platform.Testing;
using Registry.Tests.Mlflow;

namespace Registry.Tests.Runs;

public sealed class MetricHistoryTests
{
    [Fact]
    public void However_it_is_thinned_no_extreme_and_no_value_is_lost() => Gen.Select(Gen.Double[-1e6, 1e6].Array[1, 400], Gen.Int[1, 50]).Sample((values, points) =>
    {
        var curve = new MetricCurve(values.Length, 0, values.Length - 1, points);
        foreach (var (value, step) in values.Select((value, step) => (value, step)).OrderBy(v => v.value)) curve.Add(step, (0, step), value);
        var buckets = curve.Buckets();
        buckets.Count.ShouldBeLessThanOrEqualTo(points);
        buckets.Sum(b => b.Values).ShouldBe(values.Length);
        (buckets.Min(b => b.Minimum), buckets.Max(b => b.Maximum)).ShouldBe((values.Min(), values.Max()));
        (buckets[0].First, buckets[^1].Last).ShouldBe((values[0], values[^1]));
        foreach (var bucket in buckets)
        {
            (bucket.Minimum, bucket.Maximum).ShouldBe((values[bucket.MinimumAt], values[bucket.MaximumAt]));
            (bucket.First, bucket.Last).ShouldBe((values[bucket.From], values[bucket.To]));
        }

        buckets.Zip(buckets.Skip(1)).ShouldAllBe(both => both.First.To < both.Second.From);
    }, iter: 300);

    [Fact]
    public async Task A_spike_of_one_value_among_two_thousand_is_in_a_curve_of_fifty_points()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        for (var batch = 0; batch < 2; batch++)
        {
            await tenant.Developer.OkAsync("POST", "runs/log-batch", new { run_id = run, metrics = Enumerable.Range(batch * 1_000, 1_000).Select(i => new { key = "train/loss", value = i == 777 ? 1e6 : i % 10, timestamp = 5_000 + (2 * i), step = i }) });
        }

        var curve = await (await tenant.Viewer.GetAsync($"api/v1/registry/runs/{run}/metric-history?key=train/loss&points=50")).ShouldBeAsync(200);
        (curve.GetProperty("values").GetInt64(), curve.GetProperty("isExact").GetBoolean()).ShouldBe((2_000, false));
        var buckets = curve.GetProperty("buckets").EnumerateArray().ToArray();
        buckets.Length.ShouldBe(50);
        var spike = buckets.Single(b => b.GetProperty("maximum").GetDouble() == 1e6);
        spike.GetProperty("maximumAt").GetInt64().ShouldBe(777);
        buckets[0].GetProperty("first").GetDouble().ShouldBe(0);
        buckets[^1].GetProperty("last").GetDouble().ShouldBe(9);

        var byTime = await (await tenant.Viewer.GetAsync($"api/v1/registry/runs/{run}/metric-history?key=train/loss&points=5&by=time&from=5000&to=5008")).ShouldBeAsync(200);
        byTime.GetProperty("buckets").EnumerateArray().Select(b => b.GetProperty("from").GetInt64()).ShouldBe([5_000, 5_002, 5_004, 5_006, 5_008]);
        byTime.GetProperty("isExact").GetBoolean().ShouldBeTrue();

        var figures = (await (await tenant.Viewer.GetAsync($"api/v1/registry/runs/{run}/metrics")).ShouldBeAsync(200)).EnumerateArray().Single();
        (figures.GetProperty("latest").GetDouble(), figures.GetProperty("minimum").GetDouble(), figures.GetProperty("maximum").GetDouble(), figures.GetProperty("values").GetInt64(), figures.GetProperty("lastStep").GetInt64()).ShouldBe((9, 0, 1e6, 2_000, 1_999));
    }

    [Fact]
    public async Task What_is_no_number_is_a_gap_and_is_counted()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        object[] values = [1.0, "NaN", 3.0, "Infinity", "-Infinity", 2.0];
        await tenant.Developer.OkAsync("POST", "runs/log-batch", new { run_id = run, metrics = values.Select((value, i) => new { key = "m", value, timestamp = 1, step = i }) });

        var curve = await (await tenant.Viewer.GetAsync($"api/v1/registry/runs/{run}/metric-history?key=m")).ShouldBeAsync(200);
        (curve.GetProperty("notANumber").GetInt64(), curve.GetProperty("infinite").GetInt64()).ShouldBe((1, 2));
        curve.GetProperty("buckets").EnumerateArray().Select(b => b.GetProperty("first").ValueKind is System.Text.Json.JsonValueKind.Null).ShouldBe([false, true, false, true, true, false]);
        var thin = await (await tenant.Viewer.GetAsync($"api/v1/registry/runs/{run}/metric-history?key=m&points=1")).ShouldBeAsync(200);
        var all = thin.GetProperty("buckets").EnumerateArray().Single();
        (all.GetProperty("first").GetDouble(), all.GetProperty("minimum").GetDouble(), all.GetProperty("maximum").GetDouble(), all.GetProperty("last").GetDouble(), all.GetProperty("notFinite").GetInt64()).ShouldBe((1, 1, 3, 2, 3));
        var figures = (await (await tenant.Viewer.GetAsync($"api/v1/registry/runs/{run}/metrics")).ShouldBeAsync(200)).EnumerateArray().Single();
        (figures.GetProperty("minimum").GetDouble(), figures.GetProperty("maximum").GetDouble()).ShouldBe((1, 3));
    }

    [Fact]
    public async Task A_curve_that_is_not_there_is_told_so()
    {
        var (tenant, stranger) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        var run = await tenant.NewRunAsync();
        await (await tenant.Viewer.GetAsync($"api/v1/registry/runs/{run}/metric-history?key=m")).ShouldRefuseAsync(404, "no-such-metric");
        await (await stranger.Viewer.GetAsync($"api/v1/registry/runs/{run}/metric-history?key=m")).ShouldRefuseAsync(404, "no-such-run");
        await (await stranger.Viewer.GetAsync($"api/v1/registry/runs/{run}/metrics")).ShouldRefuseAsync(404, "no-such-run");
        await (await tenant.Viewer.GetAsync($"api/v1/registry/runs/{run}/metric-history?key=m&by=mood")).ShouldRefuseAsync(400, "invalid-field");
        await (await tenant.Viewer.GetAsync($"api/v1/registry/runs/{run}/metric-history?key=m&points=0")).ShouldRefuseAsync(400, "invalid-field");
    }
}
