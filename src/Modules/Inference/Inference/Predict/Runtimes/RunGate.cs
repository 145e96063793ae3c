using System.Threading.Tasks.Sources;
using Platform.Kernel;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>How long the line may grow, and how long anybody stands in it.</summary>
/// <param name="PerTenant">Runs of one tenant that may wait for a core.</param>
/// <param name="PerModel">Requests to one model that may wait for a core.</param>
/// <param name="Longest">Who has waited this long is refused.</param>
internal sealed record WaitLimits(int PerTenant, int PerModel, TimeSpan Longest)
{
    public Refusal TenantQueueFull() => Full("tenant", PerTenant, nameof(InferenceOptions.MaxWaitingPerTenant));

    public Refusal ModelQueueFull() => Full("model", PerModel, nameof(InferenceOptions.MaxWaitingPerModel));

    public Refusal TooLong() => new(RefusalKind.Unavailable, "queue-timeout",
        $"The prediction waited {Longest.TotalSeconds:0.###} seconds for a core, which is the limit ({nameof(InferenceOptions.LongestWait)}); it was not made and is not billed.", null,
        "Send fewer at once, or try again in a second.")
    { RetryAfter = Soon };

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(1);

    private static Refusal Full(string of, int limit, string setting) => new(RefusalKind.Unavailable, "queue-full",
        $"{limit:N0} predictions of the {of} are waiting for a core, which is the limit ({setting}).", null, "Send fewer at once, or try again in a second.")
    { RetryAfter = Soon };
}

/// <summary>Lets as many runs go on at once as there are cores, and no more: with four times as many, throughput stays and the 99th
/// percentile grows a hundredfold. Who must wait is served in order of arrival within a tenant; among tenants the one comes next that has
/// run for the least time (start-time fair queueing, Goyal, Vin and Cheng 1996: who comes back after a while begins at the present mark and
/// has saved up nothing). A run cannot be interrupted, so a tenant of whom something runs leaves the last free seat to the others while there
/// are any; and beyond the cores there are a few guest seats for a tenant of whom nothing runs, which then shares a core with another's
/// long run instead of waiting for its end. It also stops runs that take too long, whose caller has gone, or that keep others out (<see cref="MakeWay"/>).</summary>
internal sealed class RunGate : IDisposable
{
    private const int LinesKept = 1024;
    private static readonly TimeSpan Lately = TimeSpan.FromSeconds(1);

    /// <summary>A run of this length is long; who has waited this long while another tenant has several cores is made way for.</summary>
    private static readonly TimeSpan Long = TimeSpan.FromMilliseconds(250);

    private readonly Lock guard = new();
    private readonly Stack<RunSeat> free, guests;
    private readonly RunSeat[] seats;
    private readonly Dictionary<string, Line> lines = new(StringComparer.Ordinal);
    private readonly List<Line> waiting = [];
    private readonly Stack<Waiter> spare = new();
    private readonly TimeProvider time;
    private readonly ITimer watch;

    /// <summary>What the tenant that was last let in had run for by then.</summary>
    private long mark;

    /// <summary>Who asked for a seat last, when that was, and when somebody else did.</summary>
    private Line? latest;
    private long latestCame = long.MinValue / 2, othersCame = long.MinValue / 2;

    /// <param name="seats">How many runs may go on at once.</param>
    /// <param name="guests">How many more, each of a tenant of whom nothing else runs.</param>
    /// <param name="longestRun">A run that takes longer is stopped.</param>
    public RunGate(int seats, int guests, TimeSpan longestRun, WaitLimits limits, TimeProvider time)
    {
        this.time = time;
        Limits = limits;
        this.seats = [.. Enumerable.Range(0, seats + guests).Select(i => new RunSeat(time, longestRun, isGuest: i >= seats))];
        free = new Stack<RunSeat>(this.seats.Where(seat => !seat.IsGuest));
        this.guests = new Stack<RunSeat>(this.seats.Where(seat => seat.IsGuest));
        Threads = new RunThreads(this.seats.Length);
        var period = TimeSpan.FromMilliseconds(50);
        watch = time.CreateTimer(_ => Watch(), null, period, period);
    }

    public WaitLimits Limits { get; }

    /// <summary>For runs that are expected to take long.</summary>
    public RunThreads Threads { get; }

    /// <summary>The most runs that go on at once.</summary>
    public int Seats => seats.Length;

    /// <summary>Runs that wait for a seat now.</summary>
    public int Waiting { get; private set; }

    /// <summary>A seat when one is free, else null; nobody waits then, because a seat that is given back goes to who waits.</summary>
    public RunSeat? TryEnter(string tenant, CancellationToken ct)
    {
        lock (guard)
        {
            var line = LineOf(tenant);
            Came(line);
            return FreeFor(line) is { } seat ? Seat(line, seat).For(ct) : null;
        }
    }

    /// <summary>A seat, at once or when it is this tenant's turn; a refusal when the tenant's line is full or it took too long.
    /// Throws <see cref="OperationCanceledException"/> when the caller gives up first.</summary>
    public ValueTask<Result<RunSeat>> EnterAsync(string tenant, CancellationToken ct)
    {
        lock (guard)
        {
            var line = LineOf(tenant);
            Came(line);
            if (FreeFor(line) is { } seat) return new(Seat(line, seat).For(ct));
            if (line.Waiting >= Limits.PerTenant) return new(Limits.TenantQueueFull());
            if (!line.IsListed) waiting.Add(line);
            line.IsListed = true;
            var waiter = spare.TryPop(out var used) ? used : new Waiter(this);
            return waiter.Wait(line, ct);
        }
    }

    /// <summary>Gives the seat to whoever's turn it is.</summary>
    public void Exit(RunSeat seat)
    {
        seat.End();
        lock (guard)
        {
            seat.Holder!.Left(seat.Since, time.GetTimestamp());
            seat.Holder = null;
            (seat.IsGuest ? guests : free).Push(seat);
            SeatWhoWaits();
        }
    }

    /// <summary>Runs that have gone on for long by now.</summary>
    public int LongRuns
    {
        get
        {
            lock (guard) return seats.Count(seat => seat.Holder is not null && time.GetElapsedTime(seat.Since) >= Long);
        }
    }

    /// <summary>Stops the run that has gone on longest; false when there is none, or it was told already.</summary>
    public bool StopLongest(RunFailure why)
    {
        lock (guard) return seats.Where(seat => seat.Holder is not null).MinBy(seat => seat.Since)?.Stop(why) is true;
    }

    public void Dispose()
    {
        watch.Dispose();
        Threads.Dispose();
    }

    private Line LineOf(string tenant)
    {
        if (!lines.TryGetValue(tenant, out var line)) lines.Add(tenant, line = new Line());
        if (line is { Holding: 0, Waiting: 0 }) line.Spent = Math.Max(line.Spent, mark);
        return line;
    }

    private RunSeat? FreeFor(Line line) => !CanSeat(line) ? null : free.TryPop(out var seat) ? seat : guests.Pop();

    private bool CanSeat(Line line) => line.Holding == 0 ? free.Count + guests.Count > 0 : free.Count > 1 || (free.Count == 1 && !OthersAreHere(line));

    private bool OthersAreHere(Line line) => time.GetElapsedTime(line == latest ? othersCame : latestCame) < Lately;

    private void Came(Line line)
    {
        var now = time.GetTimestamp();
        if (line != latest) (latest, othersCame) = (line, latestCame);
        latestCame = now;
    }

    private RunSeat Seat(Line line, RunSeat seat)
    {
        (seat.Holder, seat.Since, seat.Yields) = (line, time.GetTimestamp(), true);
        mark = Math.Max(mark, line.Spent);
        line.Took(seat.Since);
        return seat;
    }

    private void SeatWhoWaits()
    {
        while (Next() is { } line)
        {
            var given = FreeFor(line)!;
            line.Next()!.Grant(Seat(line, given));
        }
    }

    /// <summary>Who has no core and has waited long gets one of a tenant that has several: its youngest long run is stopped, and waits for its turn again.</summary>
    private void MakeWay()
    {
        foreach (var line in waiting)
        {
            if (line.Holding > 0 || line.First is not { } first || time.GetElapsedTime(first.Since) < Long) continue;
            seats.Where(seat => seat is { Holder.Holding: > 1, Yields: true } && time.GetElapsedTime(seat.Since) >= Long).MaxBy(seat => seat.Since)?.Stop(RunFailure.GaveWay);
            return;
        }
    }

    /// <summary>Of the tenants who wait and may have one of the seats that are free, the one that has run the least; null when there is none.</summary>
    private Line? Next()
    {
        if (free.Count + guests.Count == 0) return null;
        Line? next = null;
        var now = time.GetTimestamp();
        for (var i = waiting.Count - 1; i >= 0; i--)
        {
            var line = waiting[i];
            if (line.Waiting == 0)
            {
                line.IsListed = false;
                waiting.RemoveAt(i);
            }
            else if (CanSeat(line) && (next is null || line.SpentBy(now) <= next.SpentBy(now)))
            {
                next = line;
            }
        }
        return next;
    }

    private void Watch()
    {
        Array.ForEach(seats, seat => seat.StopIfDue());
        lock (guard)
        {
            // Others may have been away for long enough by now.
            SeatWhoWaits();
            MakeWay();
            foreach (var line in lines.Values)
            {
                while (line.First is { } first && time.GetElapsedTime(first.Since) >= Limits.Longest) line.Next()!.Refuse(Limits.TooLong());
            }
            // Those that have run for less than the mark are as good as new.
            if (lines.Count <= LinesKept) return;
            foreach (var (tenant, line) in lines)
            {
                if (line is { Holding: 0, IsListed: false } && line.Spent <= mark) lines.Remove(tenant);
            }
        }
    }

    private void Return(Waiter waiter)
    {
        lock (guard)
        {
            if (spare.Count < 1024) spare.Push(waiter);
        }
    }

    /// <summary>One tenant's line and what it has run. Who gives up leaves the line at once, so that the dead take no places.</summary>
    internal sealed class Line
    {
        private readonly LinkedList<Waiter> waiters = new();
        private long since;

        /// <summary>Whether it is among those that wait; it may be there while empty, and is passed over then.</summary>
        public bool IsListed { get; set; }

        /// <summary>Seats it has now.</summary>
        public int Holding { get; private set; }

        /// <summary>How long its runs that have ended took together, in the clock's ticks.</summary>
        public long Spent { get; set; }

        public int Waiting => waiters.Count;

        public Waiter? First => waiters.First?.Value;

        /// <summary>With those that are under way.</summary>
        public long SpentBy(long now) => Spent + (Holding * now) - since;

        public void Took(long at) => (Holding, since) = (Holding + 1, since + at);

        public void Left(long took, long at) => (Holding, since, Spent) = (Holding - 1, since - took, Spent + (at - took));

        public void Add(Waiter waiter)
        {
            waiters.AddLast(waiter.Place);
            waiter.Gate.Waiting++;
        }

        public Waiter? Next()
        {
            if (First is not { } waiter) return null;
            Remove(waiter);
            return waiter;
        }

        /// <summary>False when it was granted or refused before.</summary>
        public bool Remove(Waiter waiter)
        {
            if (waiter.Place.List is null) return false;
            waiters.Remove(waiter.Place);
            waiter.Gate.Waiting--;
            return true;
        }
    }

    /// <summary>One who waits. Its place in the line, which changes only under the gate's lock, decides between granting and giving up.</summary>
    internal sealed class Waiter : IValueTaskSource<Result<RunSeat>>
    {
        private ManualResetValueTaskSourceCore<Result<RunSeat>> source = new() { RunContinuationsAsynchronously = true };
        private CancellationTokenRegistration registration;
        private CancellationToken token;
        private Line? line;

        public Waiter(RunGate gate)
        {
            Gate = gate;
            Place = new LinkedListNode<Waiter>(this);
        }

        public RunGate Gate { get; }

        public LinkedListNode<Waiter> Place { get; }

        public long Since { get; private set; }

        /// <summary>Under the gate's lock, so that it cannot be granted before it is ready; a token cancelled by now gives up right here.</summary>
        public ValueTask<Result<RunSeat>> Wait(Line line, CancellationToken ct)
        {
            source.Reset();
            (this.line, token, Since) = (line, ct, Gate.time.GetTimestamp());
            line.Add(this);
            var version = source.Version;
            registration = ct.UnsafeRegister(static waiter => ((Waiter)waiter!).GiveUp(), this);
            return new(this, version);
        }

        public void Grant(RunSeat seat) => source.SetResult(seat.For(token));

        public void Refuse(Refusal refusal) => source.SetResult(refusal);

        private void GiveUp()
        {
            lock (Gate.guard)
            {
                if (!line!.Remove(this)) return;
            }
            source.SetException(new OperationCanceledException(token));
        }

        Result<RunSeat> IValueTaskSource<Result<RunSeat>>.GetResult(short version)
        {
            // Also waits for a giving up that is under way, so that it cannot meet the next one who uses this.
            registration.Dispose();
            try
            {
                return source.GetResult(version);
            }
            finally
            {
                Gate.Return(this);
            }
        }

        ValueTaskSourceStatus IValueTaskSource<Result<RunSeat>>.GetStatus(short version) => source.GetStatus(version);

        void IValueTaskSource<Result<RunSeat>>.OnCompleted(Action<object?> continuation, object? state, short version, ValueTaskSourceOnCompletedFlags flags) =>
            source.OnCompleted(continuation, state, version, flags);
    }
}

/// <summary>Something that can be told to end early.</summary>
internal interface IStoppable
{
    void Stop();
}

/// <summary>The right to run one model now, and the hand that stops the run.</summary>
internal sealed class RunSeat(TimeProvider time, TimeSpan longestRun, bool isGuest)
{
    private readonly Lock guard = new();
    private CancellationToken caller;
    private Func<bool>? haveGone;
    private IStoppable? running;
    private long began;
    private RunFailure? stopped;

    /// <summary>One beyond the cores.</summary>
    public bool IsGuest => isGuest;

    /// <summary>Whose it is and since when; the gate's, under its lock.</summary>
    public RunGate.Line? Holder { get; set; }

    public long Since { get; set; }

    /// <summary>Whether the run may be made to wait for its turn again.</summary>
    public bool Yields { get; set; }

    public RunSeat For(CancellationToken ct)
    {
        lock (guard) (caller, haveGone) = (ct, null);
        return this;
    }

    /// <summary>For several callers, whose run ends early only when all have gone.</summary>
    public RunSeat For(Func<bool> allHaveGone)
    {
        lock (guard) (caller, haveGone) = (CancellationToken.None, allHaveGone);
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

    /// <summary>Ends the run; false when there is none, or it is being stopped already.</summary>
    public bool Stop(RunFailure why)
    {
        lock (guard)
        {
            if (running is null || stopped is not null) return false;
            stopped = why;
            running.Stop();
            return true;
        }
    }

    public void StopIfDue()
    {
        lock (guard)
        {
            if (running is null || stopped is not null) return;
            if (caller.IsCancellationRequested || haveGone?.Invoke() is true) stopped = RunFailure.Abandoned;
            else if (time.GetElapsedTime(began) >= longestRun) stopped = RunFailure.TimedOut;
            else return;
            running.Stop();
        }
    }
}
