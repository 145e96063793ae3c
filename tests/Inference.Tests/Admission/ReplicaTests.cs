using System.Text;
using Platform.Testing;

namespace Inference.Tests.Admission;

/// <summary>What holds for a tenant whichever replica its calls come to.</summary>
public sealed class ReplicaTests
{
    [Fact]
    public async Task Two_replicas_answer_exactly_the_quota_between_them_and_refuse_the_rest()
    {
        const int Quota = 500, CallersEach = 8;
        await using var first = await PlatformApp.StartOwnAsync(new Dictionary<string, string>());
        await using var second = first.StartAnother();
        var tenant = await QuotaTests.WithQuotaAsync(Quota, OnnxFiles.Houses(), first);
        using var there = second.ClientWith(tenant.DeveloperKey);
        await Eventually.BecomesAsync("the second replica to know the endpoint", async () => (int)(await there.GetAsync("v2/models/houses/ready")).StatusCode, status => status == 200);

        var (answered, done) = (new int[2], 0);
        await Task.WhenAll(Enumerable.Range(0, 2 * CallersEach).Select(i => Task.Run(async () =>
        {
            // Every caller goes on until the whole quota is answered, whoever answered it.
            while (Volatile.Read(ref done) < Quota)
            {
                using var answer = await PredictAsync(i % 2 == 0 ? tenant.Developer : there);
                if ((int)answer.StatusCode == 200)
                {
                    Interlocked.Increment(ref answered[i % 2]);
                    Interlocked.Increment(ref done);
                    continue;
                }
                var problem = await answer.ShouldRefuseAsync(429, "monthly-quota-reached");
                problem.GetProperty("detail").GetString()!.ShouldContain("allows 500 predictions a month");
                answer.Headers.RetryAfter.ShouldNotBeNull().Delta.ShouldNotBeNull();
            }
        })));

        done.ShouldBe(Quota);
        answered.ShouldAllBe(each => each > 0);
        foreach (var client in new[] { tenant.Developer, there })
        {
            await Eventually.BecomesAsync("the refusal to be the month's", async () =>
            {
                using var answer = await PredictAsync(client);
                return (await answer.ShouldRefuseAsync(429, "monthly-quota-reached")).GetProperty("detail").GetString()!;
            }, detail => detail.Contains("500 are used and this call asks for 1"));
        }
        (await tenant.UsageAsync()).ShouldBe(Quota);
    }

    private static Task<HttpResponseMessage> PredictAsync(HttpClient client) =>
        client.PostAsync($"{Deployments.Endpoints}/houses/predict", new StringContent(Deployments.Row, Encoding.UTF8, "application/json"));
}
