namespace Platform.Inference.Predict.Admission;

/// <summary>So many a second, and so many at once after a pause. <see cref="PerSecond"/> of 0 is no limit.</summary>
internal readonly record struct Rate(double PerSecond, int Burst)
{
    public static readonly Rate None;

    public bool IsUnlimited => PerSecond <= 0;
}

/// <summary>A token bucket without a lock and without a timer, as the generic cell rate algorithm: all it remembers is when the bucket would be
/// full again (ITU-T I.371, Annex A). The rate comes with each call, so a limit can change while it runs.</summary>
internal sealed class TokenBucket
{
    private long full;

    /// <summary>Takes one token; when there is none, says in how many ticks of the same clock there will be.</summary>
    /// <param name="now">A monotonic clock of <paramref name="ticksPerSecond"/>.</param>
    public bool TryTake(Rate rate, long now, long ticksPerSecond, out long wait)
    {
        wait = 0;
        if (rate.IsUnlimited) return true;
        var each = (long)(ticksPerSecond / rate.PerSecond);
        while (true)
        {
            var (seen, whole) = (Volatile.Read(ref full), each * Math.Max(1, rate.Burst));
            // Empty is as far as it goes: what was owed under a slower rate is not owed under this one. The second is for callers whose clock was read earlier.
            if (seen > now + whole + ticksPerSecond)
            {
                Interlocked.CompareExchange(ref full, now + whole, seen);
                continue;
            }
            var next = Math.Max(seen, now) + each;
            wait = next - now - whole;
            if (wait > 0) return false;
            if (Interlocked.CompareExchange(ref full, next, seen) == seen) return true;
        }
    }
}
