using System.Diagnostics.CodeAnalysis;
using Platform.Kernel;

namespace Platform.Inference.Predict.Admission;

/// <summary>The part of a tenant's monthly quota (UTC) that is set aside for this server: what the calls take from without asking anybody. It is leased from
/// the database in pieces, the next one before the last is used up, and what is not needed goes back (<see cref="KeepAsync"/>).</summary>
/// <remarks>Held is what is left of the leases and what was taken and is not in the journal yet. The quota minus the journal's count minus what all servers hold
/// is free, which makes the journal the only count there is: see <c>inference.lease_quota</c>.</remarks>
[SuppressMessage("Reliability", "CA1001", Justification = "A semaphore whose wait handle nobody asks for holds nothing to dispose of.")]
internal sealed class TenantQuota(AskForQuota ask, TimeProvider time)
{
    /// <summary>How often <see cref="KeepAsync"/> is to be called.</summary>
    public static readonly TimeSpan KeptEvery = TimeSpan.FromSeconds(10);

    /// <summary>For so long a refusal is repeated without asking again: a flood of refused calls must not become one of queries.</summary>
    private static readonly TimeSpan Repeated = TimeSpan.FromMilliseconds(100);

    private readonly SemaphoreSlim asking = new(1);
    private volatile Month current = new(DateTimeOffset.MinValue);
    private volatile Shortage? shortage;

    /// <summary>Takes so many, all or none, at once while the lease lasts. What is taken must be settled or given back.</summary>
    public ValueTask<Result<Taken>> TakeAsync(string plan, long quota, int units, CancellationToken ct)
    {
        var month = Of(time.GetUtcNow());
        if (month.Quota != quota || !month.TryTake(units)) return new(LeaseAsync(plan, quota, units, ct));
        if (month.Left * 2 < PieceOf(quota)) _ = LeaseAheadAsync(quota);
        return new(new Taken(month, units));
    }

    /// <summary>Says that the lease is still needed, or gives back what nobody has taken from since the last time.</summary>
    public Task KeepAsync() => TellAsync(month => month.WasIdle());

    /// <summary>Gives back all, at the end.</summary>
    public Task EndAsync() => TellAsync(month =>
    {
        // What is still not in the journal now will never be.
        month.Forget();
        return true;
    });

    /// <summary>A fiftieth of the quota: small enough to lie idle somewhere, large enough to be asked for seldom.</summary>
    internal static long PieceOf(long quota) => Math.Clamp(quota / 50, 1, 10_000);

    private async Task<Result<Taken>> LeaseAsync(string plan, long quota, int units, CancellationToken ct)
    {
        await asking.WaitAsync(ct);
        try
        {
            while (true)
            {
                var month = Under(quota);
                if (month.TryTake(units)) return new Taken(month, units);
                var need = units - month.Left;
                if (need <= 0) continue;
                if (shortage is { } known && need > known.Free && time.GetElapsedTime(known.Since) < Repeated) return UsedUp(plan, quota, units, known, month);
                if (await AskAsync(month, need) is not { } granted) return Unavailable;
                // Who came meanwhile may have taken what was granted; then there is more to ask for, until there is not.
                if (granted == 0) return UsedUp(plan, quota, units, shortage!, month);
            }
        }
        finally
        {
            asking.Release();
        }
    }

    private async Task LeaseAheadAsync(long quota)
    {
        if (!await asking.WaitAsync(0)) return;
        try
        {
            var month = Under(quota);
            if (month.Left * 2 < PieceOf(quota) && (shortage is not { } known || time.GetElapsedTime(known.Since) >= Repeated)) await AskAsync(month, 1);
        }
        finally
        {
            asking.Release();
        }
    }

    private async Task TellAsync(Func<Month, bool> giveBack)
    {
        await asking.WaitAsync();
        try
        {
            var month = current;
            if (!month.HasLease) return;
            if (giveBack(month)) month.GiveUpRest();
            await AskAsync(month, 0);
        }
        finally
        {
            asking.Release();
        }
    }

    /// <summary>What was granted; null when the database is not to be had. Only one asks at a time, because each tells what is held as of now.</summary>
    private async Task<long?> AskAsync(Month month, long need)
    {
        var held = month.Held;
        if (await ask(month.First, held, need, need == 0 ? 0 : Math.Max(need, PieceOf(month.Quota)), month.Quota) is not { } lease) return null;
        month.Add(lease.Granted);
        month.HasLease = held + lease.Granted > 0;
        shortage = need > 0 && lease.Granted == 0
            ? new Shortage(Math.Max(month.Quota - lease.Recorded - lease.Others - held, 0), lease.Recorded, lease.Recorded + lease.Others + held, time.GetTimestamp())
            : null;
        return lease.Granted;
    }

    /// <summary>The month's lease under this quota; one that was leased under another is no longer good.</summary>
    private Month Under(long quota)
    {
        var month = Of(time.GetUtcNow());
        if (month.Quota == quota) return month;
        month.GiveUpRest();
        (month.Quota, shortage) = (quota, null);
        return month;
    }

    private Month Of(DateTimeOffset now)
    {
        var month = current;
        while (now >= month.Ends)
        {
            var next = new Month(new DateTimeOffset(now.Year, now.Month, 1, 0, 0, 0, TimeSpan.Zero));
            var was = Interlocked.CompareExchange(ref current, next, month);
            month = was == month ? next : was;
        }
        return month;
    }

    private Refusal UsedUp(string plan, long quota, int units, Shortage known, Month month)
    {
        // What is only set aside may be free again in a moment: calls fail, and other servers give back what they do not need.
        var setAside = known.Recorded + units <= quota;
        return new Refusal(RefusalKind.LimitReached, "monthly-quota-reached",
            $"The plan '{plan}' allows {quota:N0} predictions a month; {known.NotFree - month.Left:N0} are used{(setAside ? " or set aside for calls under way" : "")} and this call asks for {units:N0}.", null,
            setAside ? "Try again in some seconds, when it is known what is left, or ask for a larger plan." : $"Ask for a larger plan, or wait until the quota begins anew on {month.Ends:yyyy-MM-dd}.")
        { RetryAfter = setAside ? KeptEvery : month.Ends - time.GetUtcNow() };
    }

    private static readonly Refusal Unavailable = new(RefusalKind.Unavailable, "quota-unavailable",
        "What is left of the month's quota cannot be looked up right now; this prediction was not made and is not billed.", null, "Try again in a few seconds.")
    { RetryAfter = TimeSpan.FromSeconds(1) };

    /// <param name="Free">What was left for anybody, less than was needed.</param>
    /// <param name="Recorded">In the journal.</param>
    /// <param name="NotFree">That, and what servers hold, this one too.</param>
    private sealed record Shortage(long Free, long Recorded, long NotFree, long Since);

    internal sealed class Month(DateTimeOffset first)
    {
        private long left, held, quota = -1;
        private volatile bool taken;

        public DateOnly First { get; } = DateOnly.FromDateTime(first.UtcDateTime);

        public DateTimeOffset Ends { get; } = first == DateTimeOffset.MinValue ? first : first.AddMonths(1);

        /// <summary>Under which it was leased.</summary>
        public long Quota
        {
            get => Volatile.Read(ref quota);
            set => Volatile.Write(ref quota, value);
        }

        public long Left => Volatile.Read(ref left);

        public long Held => Volatile.Read(ref held);

        /// <summary>Whether the database knows of something set aside.</summary>
        public bool HasLease { get; set; }

        public bool TryTake(int units)
        {
            var seen = Left;
            while (units <= seen)
            {
                var was = Interlocked.CompareExchange(ref left, seen - units, seen);
                if (was == seen)
                {
                    taken = true;
                    return true;
                }
                seen = was;
            }
            return false;
        }

        public void Add(long granted)
        {
            Interlocked.Add(ref held, granted);
            Interlocked.Add(ref left, granted);
        }

        public void GiveBack(int units) => Interlocked.Add(ref left, units);

        public void Settle(int units) => Interlocked.Add(ref held, -units);

        public void GiveUpRest() => Interlocked.Add(ref held, -Interlocked.Exchange(ref left, 0));

        public void Forget() => Interlocked.Exchange(ref held, Left);

        public bool WasIdle()
        {
            var idle = !taken;
            taken = false;
            return idle;
        }
    }
}

/// <summary>A part of the quota, taken for one call; of nothing, where there is no quota.</summary>
internal readonly struct Taken(TenantQuota.Month? month, int units)
{
    /// <summary>The journal counts it now, or may.</summary>
    public void Settle() => month?.Settle(units);

    /// <summary>Nothing came of it.</summary>
    public void GiveBack() => month?.GiveBack(units);
}
