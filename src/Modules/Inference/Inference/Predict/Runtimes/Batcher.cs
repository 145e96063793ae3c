using System.Threading.Tasks.Sources;
using Microsoft.Extensions.ObjectPool;
using Platform.Kernel;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>How a request left the batcher.</summary>
internal enum BatchOutcome
{
    /// <summary>Its outputs are filled.</summary>
    Answered,
    /// <summary>The batch gave no answer, so each must be run by itself: one bad request does not fail its neighbours.</summary>
    RunAlone,
}

/// <summary>Runs together the requests to one model that wait for a core. It never waits for more to come: while every core is busy they come
/// together by themselves, and when one falls free, what is there is run. Its place in line is the tenant's, one at a time.</summary>
internal sealed class Batcher(RunGate gate, string tenant, TimeProvider time)
{
    private readonly Lock guard = new();
    private readonly LinkedList<Rider> riders = new();
    private readonly Stack<Rider> spare = new();
    private readonly TimeProvider time = time;
    private bool called;

    /// <summary>Memory for joined rows, by plan: as many as can run at once.</summary>
    private ObjectPool<TensorSet>? sets;
    private ServingPlan? setsOf;

    /// <summary>Requests waiting now.</summary>
    public int Waiting
    {
        get
        {
            lock (guard) return riders.Count;
        }
    }

    /// <summary>Waits for a core and runs with others, or alone if nobody else is there. A refusal when too many wait or it took too long;
    /// throws <see cref="ModelRunException"/> when it ran by itself and failed, <see cref="OperationCanceledException"/> when the caller gave up.</summary>
    public ValueTask<Result<BatchOutcome>> JoinAsync(PredictionWork work, Session session, int rows, int maxRows, CancellationToken ct)
    {
        bool call;
        ValueTask<Result<BatchOutcome>> outcome;
        lock (guard)
        {
            if (riders.Count >= gate.Limits.PerModel) return new(gate.Limits.ModelQueueFull());
            var rider = spare.TryPop(out var used) ? used : new Rider(this);
            outcome = rider.Wait(work, session, rows, maxRows, ct);
            call = !called;
            called = true;
        }
        if (call) _ = RideAsync();
        return outcome;
    }

    /// <summary>Gives back the memory kept for joined rows.</summary>
    public void Drop()
    {
        lock (guard) (sets, setsOf) = (null, null);
    }

    /// <summary>Takes one seat and runs what has come together by then.</summary>
    private async Task RideAsync()
    {
        List<Rider> riding = [];
        var entered = await gate.EnterAsync(tenant, CancellationToken.None);
        if (entered.Refusal is { } refusal)
        {
            Refuse(refusal);
            return;
        }
        Exception? unforeseen = null;
        try
        {
            if (WillTakeLong()) await gate.Threads.ToOne();
            Take(riding);
            if (riding.Count == 1) riding[0].RunAlone(entered.Value);
            else if (riding.Count > 1) Run(riding, entered.Value);
        }
        catch (Exception failure)
        {
            // Whatever it was, nobody may be left waiting.
            unforeseen = failure;
        }
        gate.Exit(entered.Value);
        foreach (var rider in riding) rider.End(unforeseen);
    }

    private bool WillTakeLong()
    {
        lock (guard) return riders.First is { } first && first.Value.Session!.TakesLong(Math.Min(riders.Sum(rider => rider.Rows), first.Value.MaxRows));
    }

    private void Take(List<Rider> riding)
    {
        bool more;
        lock (guard)
        {
            var rows = 0;
            for (var place = riders.First; place is not null;)
            {
                var (rider, next) = (place.Value, place.Next);
                if (time.GetElapsedTime(rider.Since) >= gate.Limits.Longest)
                {
                    riders.Remove(place);
                    rider.End(gate.Limits.TooLong());
                }
                else if (riding.Count == 0 || (rows + rider.Rows <= riding[0].MaxRows && rider.Fits(riding[0])))
                {
                    riders.Remove(place);
                    riding.Add(rider);
                    rows += rider.Rows;
                    if (rows >= riding[0].MaxRows) break;
                }
                place = next;
            }
            called = more = riders.Count > 0;
        }
        if (more) CallAgain();
    }

    /// <summary>The place in line was refused: so is everybody, or, when it took too long, whoever has waited that long.</summary>
    private void Refuse(Refusal refusal)
    {
        bool more;
        lock (guard)
        {
            var tookTooLong = refusal.Code == gate.Limits.TooLong().Code;
            for (var place = riders.First; place is not null;)
            {
                var (rider, next) = (place.Value, place.Next);
                if (!tookTooLong || time.GetElapsedTime(rider.Since) >= gate.Limits.Longest)
                {
                    riders.Remove(place);
                    rider.End(refusal);
                }
                place = next;
            }
            called = more = riders.Count > 0;
        }
        if (more) CallAgain();
    }

    /// <summary>On another thread, because this one is about to run, and another core may be free.</summary>
    private void CallAgain() => ThreadPool.UnsafeQueueUserWorkItem(static batcher => _ = batcher.RideAsync(), this, preferLocal: false);

    private void Run(List<Rider> riding, RunSeat seat)
    {
        var first = riding[0].Work!;
        var pool = SetsFor(first.Plan);
        var set = pool.Get();
        try
        {
            TensorSet[] parts = [.. riding.Select(rider => rider.Work!.Tensors)];
            foreach (var rider in riding) rider.Work!.Stages.Seated();
            Batch.Join(parts, set);
            riding[0].Session!.Model.Run(set, first.Wanted, seat.For(() => riding.TrueForAll(rider => rider.HasGone)));
            if (!Batch.TrySplit(set, parts, first.Wanted)) return;
            first.Plan.Totals.AddRun();
            foreach (var rider in riding) rider.Answered();
            riding[0].Session!.Took(first.Stages.Run, riding.Sum(rider => rider.Rows));
        }
        catch (ModelRunException)
        {
            // The riders are told to run alone.
        }
        finally
        {
            pool.Return(set);
        }
    }

    private ObjectPool<TensorSet> SetsFor(ServingPlan plan)
    {
        lock (guard)
        {
            if (setsOf == plan) return sets!;
            setsOf = plan;
            return sets = new DefaultObjectPool<TensorSet>(new SetPolicy(plan), gate.Seats);
        }
    }

    private sealed class SetPolicy(ServingPlan plan) : PooledObjectPolicy<TensorSet>
    {
        public override TensorSet Create() => new(plan.Inputs, plan.Outputs);

        public override bool Return(TensorSet set)
        {
            set.Clear();
            return true;
        }
    }

    /// <summary>One request that waits. Its place in line, which changes only under the lock, decides between taking it along and its giving up.</summary>
    private sealed class Rider : IValueTaskSource<Result<BatchOutcome>>
    {
        private readonly Batcher batcher;
        private ManualResetValueTaskSourceCore<Result<BatchOutcome>> source = new() { RunContinuationsAsynchronously = true };
        private CancellationTokenRegistration registration;
        private CancellationToken token;
        private Exception? failure;
        private bool answered;

        public Rider(Batcher batcher)
        {
            this.batcher = batcher;
            Place = new LinkedListNode<Rider>(this);
        }

        public LinkedListNode<Rider> Place { get; }

        public PredictionWork? Work { get; private set; }

        public Session? Session { get; private set; }

        public int Rows { get; private set; }

        public int MaxRows { get; private set; }

        public long Since { get; private set; }

        public bool HasGone => token.IsCancellationRequested;

        /// <summary>Under the batcher's lock.</summary>
        public ValueTask<Result<BatchOutcome>> Wait(PredictionWork work, Session session, int rows, int maxRows, CancellationToken ct)
        {
            source.Reset();
            (Work, Session, Rows, MaxRows, token, Since, failure, answered) = (work, session, rows, maxRows, ct, batcher.time.GetTimestamp(), null, false);
            batcher.riders.AddLast(Place);
            var version = source.Version;
            registration = ct.UnsafeRegister(static rider => ((Rider)rider!).GiveUp(), this);
            return new(this, version);
        }

        public bool Fits(Rider other) =>
            Work!.Plan == other.Work!.Plan && Session == other.Session && Work.Wanted.AsSpan().SequenceEqual(other.Work.Wanted) && Batch.Match(Work.Tensors.Inputs, other.Work.Tensors.Inputs);

        public void RunAlone(RunSeat seat)
        {
            Work!.Stages.Seated();
            try
            {
                Session!.Model.Run(Work.Tensors, Work.Wanted, seat.For(token));
                Work.Plan.Totals.AddRun();
                Answered();
            }
            catch (ModelRunException stopped)
            {
                // Made to give way, it waits for its turn by itself.
                if (stopped.Failure is not RunFailure.GaveWay) failure = stopped;
            }
        }

        public void Answered()
        {
            Work!.Stages.Ran();
            answered = true;
        }

        public void End(Exception? unforeseen)
        {
            if ((failure ?? unforeseen) is { } why) source.SetException(why);
            else source.SetResult(answered ? BatchOutcome.Answered : BatchOutcome.RunAlone);
        }

        public void End(Refusal refusal) => source.SetResult(refusal);

        private void GiveUp()
        {
            lock (batcher.guard)
            {
                if (Place.List is null) return;
                batcher.riders.Remove(Place);
            }
            source.SetException(new OperationCanceledException(token));
        }

        Result<BatchOutcome> IValueTaskSource<Result<BatchOutcome>>.GetResult(short version)
        {
            // Also waits for a giving up that is under way, so that it cannot meet the next one who uses this.
            registration.Dispose();
            try
            {
                return source.GetResult(version);
            }
            finally
            {
                (Work, Session) = (null, null);
                lock (batcher.guard)
                {
                    if (batcher.spare.Count < 256) batcher.spare.Push(this);
                }
            }
        }

        ValueTaskSourceStatus IValueTaskSource<Result<BatchOutcome>>.GetStatus(short version) => source.GetStatus(version);

        void IValueTaskSource<Result<BatchOutcome>>.OnCompleted(Action<object?> continuation, object? state, short version, ValueTaskSourceOnCompletedFlags flags) =>
            source.OnCompleted(continuation, state, version, flags);
    }
}
