using CsCheck;
using Platform.Billing.Contracts;
using Platform.Inference.Predict;
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
    public void A_faster_rate_holds_at_once_whatever_was_owed_under_the_slower_one()
    {
        var (bucket, slow, fast) = (new TokenBucket(), new Rate(0.001, 1), new Rate(10, 2));
        bucket.TryTake(slow, 0, 1000, out _).ShouldBeTrue();
        bucket.TryTake(slow, 0, 1000, out var wait).ShouldBeFalse();
        wait.ShouldBe(1_000_000);
        bucket.TryTake(fast, 0, 1000, out wait).ShouldBeFalse();
        wait.ShouldBe(100);
        bucket.TryTake(fast, 100, 1000, out _).ShouldBeTrue();
    }

    [Theory]
    [InlineData(0, null, 0)]
    [InlineData(0, 5.0, 5)]
    [InlineData(3, null, 3)]
    [InlineData(3, 5.0, 3)]
    [InlineData(8, 5.0, 5)]
    public void The_hosts_limit_is_the_default_and_the_ceiling_of_the_plans(double ofHost, double? ofPlan, double holds)
    {
        var limits = new LimitOptions { RequestsPerSecondPerTenant = ofHost, BurstPerTenant = 2, RequestsPerSecondPerKey = ofHost, MaxConcurrentPerTenant = (int)ofHost }
            .For("plan", null, new RequestLimits(ofPlan, 4, ofPlan, (int?)ofPlan));
        (limits.PerTenant, limits.PerKey.PerSecond, limits.MaxConcurrent).ShouldBe((new Rate(holds, ofHost > 0 ? 2 : 4), holds, (int)holds));
    }

    [Fact]
    public void Each_limit_says_which_it_is_its_value_and_when_to_come_back()
    {
        var admission = new TenantAdmission(Plans.NoQuota, TimeProvider.System);
        var limits = new Limits("free", null, new Rate(0.001, 1), Rate.None, 0);
        admission.Enter(limits, "key").ShouldBeNull();
        var tooFast = admission.Enter(limits, "key").ShouldNotBeNull();
        (tooFast.Code, tooFast.RetryAfter!.Value.TotalSeconds).ShouldBe(("rate-limit", 1000), new TimesCloseEnough());

        var crowded = new TenantAdmission(Plans.NoQuota, TimeProvider.System);
        var two = new Limits("free", null, Rate.None, Rate.None, 2);
        crowded.Enter(two, null).ShouldBeNull();
        crowded.Enter(two, null).ShouldBeNull();
        crowded.Enter(two, null)!.Detail.ShouldContain("2 predictions under way");
        crowded.Leave();
        crowded.Enter(two, null).ShouldBeNull();
    }

    private sealed class TimesCloseEnough : IEqualityComparer<(string Code, double Seconds)>
    {
        public bool Equals((string Code, double Seconds) x, (string Code, double Seconds) y) => x.Code == y.Code && Math.Abs(x.Seconds - y.Seconds) < 5;

        public int GetHashCode((string Code, double Seconds) obj) => 0;
    }
}
