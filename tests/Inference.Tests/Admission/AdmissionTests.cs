using CsCheck;
using Platform.Inference.Predict.Admission;

namespace Inference.Tests.Admission;

public sealed class AdmissionTests
{
    [Fact]
    public void Over_any_stretch_of_time_a_bucket_lets_through_its_burst_and_its_rate_and_no_more() =>
        Gen.Select(Gen.Double[0.5, 1000], Gen.Int[1, 50], Gen.Int[0, 500].Array[1, 300]).Sample((perSecond, burst, pauses) =>
        {
            var bucket = new TokenBucket();
            var (now, taken) = (1_000_000L, 0);
            var rate = new Rate(perSecond, burst);
            foreach (var pause in pauses)
            {
                now += pause;
                if (bucket.TryTake(rate, now, 1000, out var wait)) taken++;
                else if (wait <= 0) return false;
            }
            // Ticks are whole, so the rate is rounded up by at most one tick a token.
            var allowed = burst + ((now - 1_000_000L) / Math.Max(1, Math.Floor(1000 / perSecond)));
            return perSecond >= 1000 || taken <= allowed + 1;
        });

    [Fact]
    public void After_the_wait_that_a_refusal_names_there_is_a_token()
    {
        var (bucket, rate) = (new TokenBucket(), new Rate(2, 3));
        for (var i = 0; i < 3; i++) bucket.TryTake(rate, 0, 1000, out _).ShouldBeTrue();
        bucket.TryTake(rate, 0, 1000, out var wait).ShouldBeFalse();
        wait.ShouldBe(500);
        bucket.TryTake(rate, wait - 1, 1000, out _).ShouldBeFalse();
        bucket.TryTake(rate, wait, 1000, out _).ShouldBeTrue();
    }

    [Fact]
    public void A_quota_is_used_to_the_last_unit_and_never_beyond_by_many_callers_at_once()
    {
        var (count, time) = (new MonthlyCount(), DateTimeOffset.UnixEpoch);
        var granted = 0;
        Parallel.For(0, 10_000, _ =>
        {
            if (count.TryTake(3, 10_000, time, out var taken)) Interlocked.Add(ref granted, 3);
            if (granted % 7 == 0 && granted > 0)
            {
                taken.GiveBack();
            }
        });
        count.Used(time).ShouldBeLessThanOrEqualTo(10_000);
        while (count.TryTake(1, 10_000, time, out _))
        {
        }
        count.Used(time).ShouldBe(10_000);
    }

    [Fact]
    public void The_count_begins_anew_with_the_month_and_what_is_given_back_goes_to_its_own_month()
    {
        var (count, july) = (new MonthlyCount(), new DateTimeOffset(2026, 7, 31, 23, 59, 59, TimeSpan.Zero));
        count.Seed(5, july);
        count.TryTake(5, 10, july, out var taken).ShouldBeTrue();
        count.TryTake(1, 10, july, out _).ShouldBeFalse();
        count.EndsAt(july).ShouldBe(new DateTimeOffset(2026, 8, 1, 0, 0, 0, TimeSpan.Zero));
        var august = july.AddSeconds(1);
        count.TryTake(4, 10, august, out _).ShouldBeTrue();
        taken.GiveBack();
        count.Used(august).ShouldBe(4);
    }

    [Fact]
    public void Each_limit_says_which_it_is_its_value_and_when_to_come_back()
    {
        var admission = new TenantAdmission(TimeProvider.System);
        var limits = new Limits("free", 10, new Rate(0.001, 1), Rate.None, 0);
        admission.Enter(limits, "key").ShouldBeNull();
        var tooFast = admission.Enter(limits, "key").ShouldNotBeNull();
        (tooFast.Code, tooFast.RetryAfter!.Value.TotalSeconds).ShouldBe(("rate-limit", 1000), new TimesCloseEnough());

        var crowded = new TenantAdmission(TimeProvider.System);
        var two = new Limits("free", 10, Rate.None, Rate.None, 2);
        crowded.Enter(two, null).ShouldBeNull();
        crowded.Enter(two, null).ShouldBeNull();
        crowded.Enter(two, null)!.Detail.ShouldContain("2 predictions under way");
        crowded.Leave();
        crowded.Enter(two, null).ShouldBeNull();

        admission.Take(limits, 8, out _).ShouldBeNull();
        var usedUp = admission.Take(limits, 3, out _).ShouldNotBeNull();
        usedUp.Code.ShouldBe("monthly-quota-reached");
        usedUp.Detail.ShouldBe("The plan 'free' allows 10 predictions a month; 8 are used and this call asks for 3.");
        usedUp.RetryAfter!.Value.ShouldBeInRange(TimeSpan.Zero, TimeSpan.FromDays(31));
        admission.Take(limits, 2, out _).ShouldBeNull();
    }

    private sealed class TimesCloseEnough : IEqualityComparer<(string Code, double Seconds)>
    {
        public bool Equals((string Code, double Seconds) x, (string Code, double Seconds) y) => x.Code == y.Code && Math.Abs(x.Seconds - y.Seconds) < 5;

        public int GetHashCode((string Code, double Seconds) obj) => 0;
    }
}
