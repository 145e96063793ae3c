using System.Collections.Concurrent;
using Platform.Kernel;

namespace Platform.Inference.Predict.Admission;

/// <summary>What one tenant may do at once, per second and per month. Part of a plan, so that a change of it applies from the next request on.</summary>
/// <param name="Plan">The billing plan, named in the refusal.</param>
/// <param name="MonthlyQuota">Null is unlimited.</param>
/// <param name="MaxConcurrent">Requests of the tenant under way at once; 0 is unlimited.</param>
internal sealed record Limits(string Plan, long? MonthlyQuota, Rate PerTenant, Rate PerKey, int MaxConcurrent);

/// <summary>A tenant's running counts. They outlive plans: a new plan brings new limits, not a fresh start.</summary>
internal sealed class TenantAdmission(AskForQuota ask, TimeProvider time)
{
    private readonly TokenBucket tenant = new();
    private readonly ConcurrentDictionary<string, TokenBucket> keys = new(StringComparer.Ordinal);
    private int underWay;

    public TenantQuota Quota { get; } = new(ask, time);

    /// <summary>Lets a request in, or says which limit is in the way. Every request let in must <see cref="Leave"/>.</summary>
    public Refusal? Enter(Limits limits, string? keyId)
    {
        var now = time.GetTimestamp();
        if (!tenant.TryTake(limits.PerTenant, now, time.TimestampFrequency, out var wait)) return TooFast("tenant", limits.PerTenant, wait);
        if (keyId is not null && !limits.PerKey.IsUnlimited
            && !keys.GetOrAdd(keyId, static _ => new TokenBucket()).TryTake(limits.PerKey, now, time.TimestampFrequency, out wait))
            return TooFast("key", limits.PerKey, wait);
        if (Interlocked.Increment(ref underWay) <= limits.MaxConcurrent || limits.MaxConcurrent <= 0) return null;
        Interlocked.Decrement(ref underWay);
        return new Refusal(RefusalKind.LimitReached, "too-many-at-once",
            $"The tenant has {limits.MaxConcurrent} predictions under way, which is its limit.", null, "Wait for some to be answered, or send several rows in one call.")
        { RetryAfter = TimeSpan.FromSeconds(1) };
    }

    public void Leave() => Interlocked.Decrement(ref underWay);

    /// <summary>Takes the call's rows from the month's quota, or says that it is used up.</summary>
    public ValueTask<Result<Taken>> TakeAsync(Limits limits, int units, CancellationToken ct) =>
        limits.MonthlyQuota is { } quota ? Quota.TakeAsync(limits.Plan, quota, units, ct) : new(default(Taken));

    private Refusal TooFast(string of, Rate rate, long wait) => new(RefusalKind.LimitReached, "rate-limit",
        $"The {of}'s limit of {rate.PerSecond:0.###} requests a second (at most {Math.Max(1, rate.Burst)} at once) is reached.", null, "Send less often, or send several rows in one call.")
    { RetryAfter = TimeSpan.FromSeconds((double)wait / time.TimestampFrequency) };
}
