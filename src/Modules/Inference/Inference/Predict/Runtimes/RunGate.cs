using System.Threading.Tasks.Sources;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>Lets as many runs go on at once as there are cores, and no more: with four times as many, throughput stays and the 99th
/// percentile grows a hundredfold. Who must wait is served in order of arrival within a tenant, and tenants take turns, so that one
/// that floods delays the others by at most one run each turn. It also stops runs that take too long or whose caller has gone.</summary>
internal sealed class RunGate : IDisposable
{
    private readonly Lock guard = new();
    private readonly Stack<RunSeat> free;
    private readonly RunSeat[] seats;
    private readonly Dictionary<string, Queue<Waiter>> queues = new(StringComparer.Ordinal);
    private readonly Queue<string> turns = new();
    private readonly Stack<Waiter> spare = new();
    private readonly TimeProvider time;
    private readonly int longestQueue;
    private readonly ITimer watch;

    /// <param name="seats">How many runs may go on at once.</param>
    /// <param name="longestRun">A run that takes longer is stopped.</param>
    /// <param name="longestQueue">How many runs of one tenant may wait.</param>
    public RunGate(int seats, TimeSpan longestRun, int longestQueue, TimeProvider time)
    {
        this.time = time;
        this.longestQueue = longestQueue;
        this.seats = [.. Enumerable.Range(0, seats).Select(_ => new RunSeat(time, longestRun))];
        free = new Stack<RunSeat>(this.seats);
        var period = TimeSpan.FromMilliseconds(50);
        watch = time.CreateTimer(_ => Array.ForEach(this.seats, seat => seat.StopIfDue()), null, period, period);
    }

    /// <summary>Runs that wait for a seat now.</summary>
    public int Waiting { get; private set; }

    /// <summary>A seat, at once or when it is this tenant's turn; null when the tenant's queue is full.
    /// Throws <see cref="OperationCanceledException"/> when the caller gives up first.</summary>
    public ValueTask<RunSeat?> EnterAsync(string tenant, CancellationToken ct)
    {
        Waiter waiter;
        lock (guard)
        {
            if (free.TryPop(out var seat)) return new(seat.For(ct));
            if (!queues.TryGetValue(tenant, out var queue)) queues.Add(tenant, queue = new Queue<Waiter>());
            if (queue.Count >= longestQueue) return new((RunSeat?)null);
            if (queue.Count == 0) turns.Enqueue(tenant);
            waiter = spare.TryPop(out var used) ? used : new Waiter(this);
            queue.Enqueue(waiter);
            Waiting++;
            return waiter.Wait(ct);
        }
    }

    /// <summary>Gives the seat to whoever's turn it is.</summary>
    public void Exit(RunSeat seat)
    {
        seat.End();
        lock (guard)
        {
            while (turns.TryDequeue(out var tenant))
            {
                var queue = queues[tenant];
                var waiter = queue.Dequeue();
                Waiting--;
                if (queue.Count > 0) turns.Enqueue(tenant);
                else queues.Remove(tenant);
                if (waiter.TryGrant(seat)) return;
            }
            free.Push(seat);
        }
    }

    public void Dispose() => watch.Dispose();

    private void Return(Waiter waiter)
    {
        lock (guard)
        {
            if (spare.Count < 1024) spare.Push(waiter);
        }
    }

    /// <summary>One who waits. Granting and giving up race for the state; the loser does nothing.</summary>
    private sealed class Waiter(RunGate gate) : IValueTaskSource<RunSeat?>
    {
        private const int IsWaiting = 0, IsDone = 1;

        private ManualResetValueTaskSourceCore<RunSeat?> source = new() { RunContinuationsAsynchronously = true };
        private CancellationTokenRegistration registration;
        private CancellationToken token;
        private int state;

        /// <summary>Under the gate's lock, so that it cannot be granted before it is ready; a token cancelled by now gives up right here.</summary>
        public ValueTask<RunSeat?> Wait(CancellationToken ct)
        {
            source.Reset();
            state = IsWaiting;
            token = ct;
            var version = source.Version;
            registration = ct.UnsafeRegister(static waiter => ((Waiter)waiter!).GiveUp(), this);
            return new(this, version);
        }

        public bool TryGrant(RunSeat seat)
        {
            // One that gave up is left to the garbage collector: its caller may not have read the outcome yet.
            if (Interlocked.Exchange(ref state, IsDone) != IsWaiting) return false;
            source.SetResult(seat.For(token));
            return true;
        }

        private void GiveUp()
        {
            if (Interlocked.Exchange(ref state, IsDone) == IsWaiting) source.SetException(new OperationCanceledException(token));
        }

        RunSeat? IValueTaskSource<RunSeat?>.GetResult(short version)
        {
            registration.Dispose();
            var seat = source.GetResult(version);
            gate.Return(this);
            return seat;
        }

        ValueTaskSourceStatus IValueTaskSource<RunSeat?>.GetStatus(short version) => source.GetStatus(version);

        void IValueTaskSource<RunSeat?>.OnCompleted(Action<object?> continuation, object? state, short version, ValueTaskSourceOnCompletedFlags flags) =>
            source.OnCompleted(continuation, state, version, flags);
    }
}

/// <summary>Something that can be told to end early.</summary>
internal interface IStoppable
{
    void Stop();
}

/// <summary>The right to run one model now, and the hand that stops the run.</summary>
internal sealed class RunSeat(TimeProvider time, TimeSpan longestRun)
{
    private readonly Lock guard = new();
    private CancellationToken caller;
    private IStoppable? running;
    private long began;
    private RunFailure? stopped;

    public RunSeat For(CancellationToken ct)
    {
        caller = ct;
        return this;
    }

    public void Begin(IStoppable run)
    {
        lock (guard)
        {
            running = run;
            stopped = null;
            began = time.GetTimestamp();
        }
    }

    /// <summary>Ends the run; says why it was stopped, or null when it was not. After that nobody stops it any more.</summary>
    public RunFailure? End()
    {
        lock (guard)
        {
            running = null;
            return stopped;
        }
    }

    public void StopIfDue()
    {
        lock (guard)
        {
            if (running is null || stopped is not null) return;
            if (caller.IsCancellationRequested) stopped = RunFailure.Abandoned;
            else if (time.GetElapsedTime(began) >= longestRun) stopped = RunFailure.TimedOut;
            else return;
            running.Stop();
        }
    }
}
