using Platform.Inference.Predict.Runtimes;

namespace Inference.Tests.Runtimes;

public sealed class RunGateTests
{
    [Fact]
    public async Task Tenants_take_turns_and_each_is_served_in_order()
    {
        using var gate = Gate(seats: 1);
        var seat = (await gate.EnterAsync("holder", default))!;
        List<string> order = [];
        var waiting = new List<Task>();
        foreach (var (tenant, number) in new[] { ("flood", 1), ("flood", 2), ("flood", 3), ("quiet", 1), ("flood", 4) })
        {
            waiting.Add(Enter(tenant, number));
        }
        gate.Waiting.ShouldBe(5);
        gate.Exit(seat);
        await Task.WhenAll(waiting);
        order.ShouldBe(["flood 1", "quiet 1", "flood 2", "flood 3", "flood 4"]);

        async Task Enter(string tenant, int number)
        {
            var mine = (await gate.EnterAsync(tenant, default))!;
            order.Add($"{tenant} {number}");
            gate.Exit(mine);
        }
    }

    [Fact]
    public async Task One_who_gives_up_does_not_take_the_seat()
    {
        using var gate = Gate(seats: 1);
        using var impatient = new CancellationTokenSource();
        var seat = (await gate.EnterAsync("t", default))!;
        var gone = gate.EnterAsync("t", impatient.Token).AsTask();
        var next = gate.EnterAsync("t", default).AsTask();
        await impatient.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(gone);
        gate.Exit(seat);
        (await next).ShouldBe(seat);
    }

    [Fact]
    public async Task A_full_queue_refuses_its_own_tenant_alone()
    {
        using var gate = Gate(seats: 1, longest: 2);
        _ = await gate.EnterAsync("holder", default);
        _ = gate.EnterAsync("flood", default).AsTask();
        _ = gate.EnterAsync("flood", default).AsTask();
        (await gate.EnterAsync("flood", default)).ShouldBeNull();
        gate.EnterAsync("quiet", default).AsTask().IsCompleted.ShouldBeFalse();
    }

    [Fact]
    public async Task Under_a_storm_of_entries_and_cancellations_no_seat_is_lost_and_none_is_held_twice()
    {
        using var gate = Gate(seats: 2, longest: 100_000);
        int inside = 0, most = 0, served = 0;
        await Task.WhenAll(Enumerable.Range(0, 16).Select(worker => Task.Run(async () =>
        {
            var random = new Random(worker);
            for (var i = 0; i < 2000; i++)
            {
                using var ct = new CancellationTokenSource();
                var entering = gate.EnterAsync($"tenant-{random.Next(4)}", ct.Token);
                if (random.Next(3) == 0) ct.Cancel();
                try
                {
                    var seat = (await entering)!;
                    var now = Interlocked.Increment(ref inside);
                    if (now > most) most = now;
                    Interlocked.Increment(ref served);
                    Interlocked.Decrement(ref inside);
                    gate.Exit(seat);
                }
                catch (OperationCanceledException)
                {
                }
            }
        })));
        most.ShouldBeLessThanOrEqualTo(2);
        served.ShouldBeGreaterThan(1000);
        gate.Waiting.ShouldBe(0);
        (await gate.EnterAsync("t", default)).ShouldNotBeNull();
        (await gate.EnterAsync("t", default)).ShouldNotBeNull();
    }

    private static RunGate Gate(int seats, int longest = 100) => new(seats, TimeSpan.FromMinutes(1), longest, TimeProvider.System);
}
