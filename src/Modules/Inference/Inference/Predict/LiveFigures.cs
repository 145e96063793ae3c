using System.Collections.Concurrent;
using Platform.Kernel;

namespace Platform.Inference.Predict;

/// <summary>What an endpoint did in the last minutes, kept in memory for the pages: answers, refusals by reason, latency. Writers only add;
/// a reader may see a number one behind.</summary>
internal sealed class LiveFigures(TimeProvider time)
{
    public static readonly TimeSpan Slice = TimeSpan.FromSeconds(5);
    private const int Slices = 60, Classes = 96, RecentRefusals = 20;

    /// <summary>Latency classes grow by a quarter of an octave from 10 µs: read back, a percentile is at most 19 % off.</summary>
    private const double PerOctave = 4, SmallestMicroseconds = 10;

    private readonly Bucket[] buckets = [.. Enumerable.Range(0, Slices).Select(_ => new Bucket())];
    private readonly ConcurrentDictionary<string, long> refusals = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<int, ServingTotals> totals = new();
    private readonly RecentRefusal?[] recent = new RecentRefusal?[RecentRefusals];
    private long refused;

    /// <summary>What was done with this version since the start, by whichever plan.</summary>
    public ServingTotals Of(int version) => totals.GetOrAdd(version, _ => new ServingTotals(time));

    public void Answered(int units, TimeSpan took)
    {
        var bucket = Current();
        Interlocked.Increment(ref bucket.Answers);
        Interlocked.Add(ref bucket.Units, units);
        var octaves = Math.Log2(Math.Max(1, took.TotalMicroseconds / SmallestMicroseconds));
        Interlocked.Increment(ref bucket.Latencies[Math.Clamp((int)(octaves * PerOctave), 0, Classes - 1)]);
    }

    public void Refused(Refusal refusal)
    {
        Interlocked.Increment(ref Current().Refusals);
        refusals.AddOrUpdate(refusal.Code, 1, static (_, count) => count + 1);
        Volatile.Write(ref recent[(int)((Interlocked.Increment(ref refused) - 1) % RecentRefusals)], new(time.GetUtcNow(), refusal.Code, refusal.Detail));
    }

    /// <summary>The slices of the last five minutes, oldest first, and the refusals since the start.</summary>
    public LiveView Read()
    {
        var now = Epoch();
        List<LiveSlice> slices = [];
        for (var epoch = now - Slices + 1; epoch <= now; epoch++)
        {
            var bucket = buckets[epoch % Slices];
            slices.Add(bucket.Epoch == epoch
                ? new(At(epoch), bucket.Answers, bucket.Units, bucket.Refusals, Percentile(bucket.Latencies, 0.5), Percentile(bucket.Latencies, 0.99))
                : new(At(epoch), 0, 0, 0, null, null));
        }
        var all = new int[Classes];
        foreach (var bucket in buckets.Where(bucket => bucket.Epoch > now - Slices))
        {
            for (var i = 0; i < bucket.Latencies.Length; i++) all[i] += bucket.Latencies[i];
        }
        return new LiveView(slices, Percentile(all, 0.5), Percentile(all, 0.99), refusals.ToDictionary(),
            [.. recent.OfType<RecentRefusal>().OrderByDescending(refusal => refusal.At)], [.. totals.OrderByDescending(version => version.Key).Select(version => VersionFigures.Of(version.Key, version.Value))]);
    }

    private static double? Percentile(int[] latencies, double share)
    {
        var total = latencies.Sum(count => (long)count);
        if (total == 0) return null;
        long seen = 0;
        for (var i = 0; i < latencies.Length; i++)
        {
            seen += latencies[i];
            // The middle of the class, in milliseconds.
            if (seen >= share * total) return SmallestMicroseconds * Math.Pow(2, (i + 0.5) / PerOctave) / 1000;
        }
        return null;
    }

    private long Epoch() => time.GetUtcNow().UtcTicks / Slice.Ticks;

    private static DateTimeOffset At(long epoch) => new(epoch * Slice.Ticks, TimeSpan.Zero);

    private Bucket Current()
    {
        var epoch = Epoch();
        var bucket = buckets[epoch % Slices];
        if (Volatile.Read(ref bucket.Epoch) == epoch) return bucket;
        lock (bucket)
        {
            if (bucket.Epoch != epoch)
            {
                (bucket.Answers, bucket.Units, bucket.Refusals) = (0, 0, 0);
                // Only slices in which something happened take the memory, and keep it.
                if (bucket.Latencies.Length == 0) bucket.Latencies = new int[Classes];
                else Array.Clear(bucket.Latencies);
                Volatile.Write(ref bucket.Epoch, epoch);
            }
        }
        return bucket;
    }

    private sealed class Bucket
    {
        public long Epoch;
        public long Answers;
        public long Units;
        public long Refusals;

        public int[] Latencies { get; set; } = [];
    }
}

/// <summary>Five seconds of an endpoint. Latencies in milliseconds; null when nothing was answered.</summary>
internal sealed record LiveSlice(DateTimeOffset At, long Answers, long Predictions, long Refusals, double? P50, double? P99);

/// <param name="Refusals">By code, since the start.</param>
/// <param name="RecentRefusals">The last twenty, newest first.</param>
/// <param name="Versions">Every model version that answered since the start, newest first.</param>
internal sealed record LiveView(
    IReadOnlyList<LiveSlice> Slices, double? P50, double? P99, IReadOnlyDictionary<string, long> Refusals, IReadOnlyList<RecentRefusal> RecentRefusals, IReadOnlyList<VersionFigures> Versions)
{
    /// <summary>Predictions a second, over the last minute.</summary>
    public double PerSecond => Slices.TakeLast(12).Sum(slice => slice.Predictions) / 60d;
}

internal sealed record RecentRefusal(DateTimeOffset At, string Code, string Detail);

/// <summary>How an endpoint did with one version of its model.</summary>
/// <param name="Predictions">In the last five minutes, as are the latencies (milliseconds).</param>
/// <param name="PerSecond">In the last minute.</param>
/// <param name="Answered">Calls since the start of this server, as are the refused.</param>
internal sealed record VersionFigures(int Version, long Predictions, double PerSecond, double? P50, double? P99, long Answered, long Refused, DateTimeOffset? LastAnswer)
{
    public static VersionFigures Of(int version, ServingTotals totals)
    {
        var live = totals.Recent.Read();
        return new(version, live.Slices.Sum(slice => slice.Predictions), live.PerSecond, live.P50, live.P99, totals.Answers, totals.Refusals, totals.LastAnswer);
    }
}
