using Platform.Inference.Predict.Runtimes;

namespace Inference.Tests.Runtimes;

public sealed class RunGateTests
{
    [Fact]
    public async Task Tenants_take_turns_and_each_is_served_in_order()
    {
        using var gate = Gate(seats: 1);
        var seat = gate.TryEnter("t", default)!;
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
            var mine = (await gate.EnterAsync(tenant, default)).Value;
            order.Add($"{tenant} {number}");
            gate.Exit(mine);
        }
    }

    [Fact]
    public async Task The_tenant_that_has_run_for_the_least_time_comes_next()
    {
        var time = new StoppedClock();
        using var gate = new RunGate(1, 0, TimeSpan.FromMinutes(1), Plans.Waits, time);
        List<string> order = [];
        var seat = gate.TryEnter("long", default)!;
        Task[] waiting = [.. Enumerable.Range(0, 2).Select(_ => RunAsync("long", 10)), .. Enumerable.Range(0, 12).Select(_ => RunAsync("short", 1))];
        time.Now += TimeSpan.FromMilliseconds(10);
        gate.Exit(seat);
        await Task.WhenAll(waiting);
        // Ten short runs take as much of the core as a long one.
        order.ShouldBe([.. Enumerable.Repeat("short", 10), "long", "short", "short", "long"]);

        async Task RunAsync(string tenant, int milliseconds)
        {
            var mine = (await gate.EnterAsync(tenant, default)).Value;
            lock (order) order.Add(tenant);
            time.Now += TimeSpan.FromMilliseconds(milliseconds);
            gate.Exit(mine);
        }
    }

    [Fact]
    public async Task A_tenant_of_whom_nothing_runs_is_a_guest_beside_anothers_long_runs()
    {
        using var gate = Gate(seats: 1, guests: 1);
        var flood = gate.TryEnter("flood", default)!;
        gate.TryEnter("flood", default).ShouldBeNull("A tenant has no guest beside itself.");
        var waits = gate.EnterAsync("flood", default).AsTask();
        var guest = (await gate.EnterAsync("quiet", default)).Value;
        var second = gate.EnterAsync("quiet", default).AsTask();
        second.IsCompleted.ShouldBeFalse("One guest at a time.");
        gate.Exit(guest);
        (await second).Value.ShouldBe(guest);
        waits.IsCompleted.ShouldBeFalse();
        gate.Exit(flood);
        (await waits).Value.ShouldBe(flood);
    }

    [Fact]
    public async Task A_tenant_leaves_the_last_seat_to_the_others_while_there_are_any()
    {
        var time = new StoppedClock();
        using var gate = new RunGate(2, 0, TimeSpan.FromMinutes(1), Plans.Waits, time);
        gate.Exit(gate.TryEnter("quiet", default)!);
        var first = gate.TryEnter("flood", default)!;
        var second = gate.EnterAsync("flood", default).AsTask();
        second.IsCompleted.ShouldBeFalse();
        var quiet = gate.TryEnter("quiet", default)!;
        gate.Exit(quiet);
        second.IsCompleted.ShouldBeFalse("The quiet tenant was here a moment ago.");
        gate.Exit(first);
        (await second).IsOk.ShouldBeTrue();
        time.Now += TimeSpan.FromSeconds(2);
        gate.TryEnter("flood", default).ShouldNotBeNull("Nobody else has come for a while.");
    }

    [Fact]
    public async Task A_tenant_whose_runs_never_end_gives_way_to_who_waits_and_leaves_the_last_core_to_the_others_after_that()
    {
        using var gate = Gate(seats: 2);
        var (first, second) = (new Run(), new Run());
        var older = gate.TryEnter("hog", default)!;
        older.Begin(first);
        var younger = gate.TryEnter("hog", default)!;
        younger.Begin(second);
        var waiting = gate.EnterAsync("quiet", default).AsTask();
        var again = gate.EnterAsync("hog", default).AsTask();

        // It is the younger run that is stopped, and its seat goes to who has none.
        await second.Stopped.Task.WaitAsync(TimeSpan.FromSeconds(30));
        younger.End().ShouldBe(RunFailure.GaveWay);
        gate.Exit(younger);
        gate.Exit(await waiting.WaitAsync(TimeSpan.FromSeconds(30)) is var seat ? seat.Value : null!);
        first.Stopped.Task.IsCompleted.ShouldBeFalse();

        // The free core is the others' now.
        gate.TryEnter("hog", default).ShouldBeNull();
        again.IsCompleted.ShouldBeFalse();
        var quiet = gate.TryEnter("quiet", default).ShouldNotBeNull();
        gate.Exit(quiet);
        gate.Exit(older);
        gate.Exit((await again.WaitAsync(TimeSpan.FromSeconds(30))).Value);
    }

    private sealed class Run : IStoppable
    {
        public TaskCompletionSource Stopped { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Stop() => Stopped.TrySetResult();
    }

    [Fact]
    public async Task One_who_gives_up_does_not_take_the_seat()
    {
        using var gate = Gate(seats: 1);
        using var impatient = new CancellationTokenSource();
        var seat = gate.TryEnter("t", default)!;
        var gone = gate.EnterAsync("t", impatient.Token).AsTask();
        var next = gate.EnterAsync("t", default).AsTask();
        await impatient.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(gone);
        gate.Exit(seat);
        (await next).Value.ShouldBe(seat);
    }

    [Fact]
    public async Task A_full_queue_refuses_its_own_tenant_alone()
    {
        using var gate = Gate(seats: 1, longest: 2);
        _ = await gate.EnterAsync("holder", default);
        _ = gate.EnterAsync("flood", default).AsTask();
        _ = gate.EnterAsync("flood", default).AsTask();
        (await gate.EnterAsync("flood", default)).Refusal!.Detail.ShouldBe("2 predictions of the tenant are waiting for a core, which is the limit (MaxWaitingPerTenant).");
        gate.EnterAsync("quiet", default).AsTask().IsCompleted.ShouldBeFalse();
    }

    [Fact]
    public async Task Under_a_storm_of_entries_and_cancellations_no_seat_is_lost_and_none_is_held_twice()
    {
        using var gate = Gate(seats: 2);
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
                    var seat = (await entering).Value;
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
        gate.TryEnter("t", default).ShouldNotBeNull();
        gate.TryEnter("u", default).ShouldNotBeNull();
    }

    [Fact]
    public async Task Who_gives_up_leaves_the_line_and_makes_room_for_the_next()
    {
        using var gate = Gate(seats: 1, longest: 1);
        using var impatient = new CancellationTokenSource();
        var seat = gate.TryEnter("t", default)!;
        var gone = gate.EnterAsync("t", impatient.Token).AsTask();
        (await gate.EnterAsync("t", default)).Refusal!.Code.ShouldBe("queue-full");
        await impatient.CancelAsync();
        gate.Waiting.ShouldBe(0);
        var next = gate.EnterAsync("t", default).AsTask();
        gate.Exit(seat);
        (await next).IsOk.ShouldBeTrue();
        await Should.ThrowAsync<OperationCanceledException>(gone);
    }

    [Fact]
    public async Task Who_waits_too_long_is_refused_with_the_limit_although_no_seat_falls_free()
    {
        using var gate = new RunGate(1, 0, TimeSpan.FromMinutes(1), new WaitLimits(10, 10, TimeSpan.FromMilliseconds(80)), TimeProvider.System);
        _ = gate.TryEnter("t", default);
        var refusal = (await gate.EnterAsync("t", default)).Refusal!;
        refusal.Code.ShouldBe("queue-timeout");
        refusal.Detail.ShouldContain("0.08 seconds");
        refusal.RetryAfter.ShouldNotBeNull();
        gate.Waiting.ShouldBe(0);
    }

    private static RunGate Gate(int seats, int guests = 0, int longest = 10_000) => new(seats, guests, TimeSpan.FromMinutes(1), new WaitLimits(longest, longest, TimeSpan.FromMinutes(1)), TimeProvider.System);
}
