using System.Collections.Concurrent;

namespace Platform.Inference.Predict;

/// <summary>What an endpoint did in the last minutes, kept in memory for the pages: answers, refusals by reason, latency. Writers only add;
/// a reader may see a number one behind.</summary>
internal sealed class LiveFigures(TimeProvider time)
{
    public static readonly TimeSpan Slice = TimeSpan.FromSeconds(5);
    private const int Slices = 60, Classes = 96;

    /// <summary>Latency classes grow by a quarter of an octave from 10 µs: read back, a percentile is at most 19 % off.</summary>
    private const double PerOctave = 4, SmallestMicroseconds = 10;

    private readonly Bucket[] buckets = [.. Enumerable.Range(0, Slices).Select(_ => new Bucket())];
    private readonly ConcurrentDictionary<string, long> refusals = new(StringComparer.Ordinal);

    public void Answered(int units, TimeSpan took)
    {
        var bucket = Current();
        Interlocked.Increment(ref bucket.Answers);
        Interlocked.Add(ref bucket.Units, units);
        var octaves = Math.Log2(Math.Max(1, took.TotalMicroseconds / SmallestMicroseconds));
        Interlocked.Increment(ref bucket.Latencies[Math.Clamp((int)(octaves * PerOctave), 0, Classes - 1)]);
    }

    public void Refused(string code)
    {
        Interlocked.Increment(ref Current().Refusals);
        refusals.AddOrUpdate(code, 1, static (_, count) => count + 1);
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
        var all = new long[Classes];
        foreach (var bucket in buckets.Where(bucket => bucket.Epoch > now - Slices))
        {
            for (var i = 0; i < Classes; i++) all[i] += bucket.Latencies[i];
        }
        return new LiveView(slices, Percentile(all, 0.5), Percentile(all, 0.99), refusals.ToDictionary());
    }

    private static double? Percentile(long[] latencies, double share)
    {
        var total = latencies.Sum();
        if (total == 0) return null;
        long seen = 0;
        for (var i = 0; i < Classes; i++)
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
                Array.Clear(bucket.Latencies);
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

        public long[] Latencies { get; } = new long[Classes];
    }
}

/// <summary>Five seconds of an endpoint. Latencies in milliseconds; null when nothing was answered.</summary>
internal sealed record LiveSlice(DateTimeOffset At, long Answers, long Predictions, long Refusals, double? P50, double? P99);

internal sealed record LiveView(IReadOnlyList<LiveSlice> Slices, double? P50, double? P99, IReadOnlyDictionary<string, long> Refusals);
