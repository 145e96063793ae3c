namespace Platform.Inference.Predict;

/// <summary>What an endpoint did with one version since the process started, for clients that ask for the protocol's statistics. Writers only add.</summary>
internal sealed class ServingTotals(TimeProvider time)
{
    private long answers, units, remembered, rememberedUnits, runs, answeredTicks, refusals, parseTicks, queueTicks, runTicks, recordTicks, last;

    /// <summary>The last minutes of this version alone.</summary>
    public LiveFigures Recent { get; } = new(time);

    public long Answers => Interlocked.Read(ref answers);

    public long Units => Interlocked.Read(ref units);

    /// <summary>Answers, and their rows, that were remembered: they are among <see cref="Answers"/> and <see cref="Units"/>, and no run gave them.</summary>
    public long Remembered => Interlocked.Read(ref remembered);

    public long RememberedUnits => Interlocked.Read(ref rememberedUnits);

    /// <summary>Runs of the model that gave outputs; one for all the requests that were run together.</summary>
    public long Runs => Interlocked.Read(ref runs);

    public long Refusals => Interlocked.Read(ref refusals);

    public TimeSpan Answered => Read(ref answeredTicks);

    /// <summary>Reading the request and looking up what it names.</summary>
    public TimeSpan Parse => Read(ref parseTicks);

    public TimeSpan Queue => Read(ref queueTicks);

    public TimeSpan Run => Read(ref runTicks);

    /// <summary>Judging the outputs and writing the journal.</summary>
    public TimeSpan Record => Read(ref recordTicks);

    /// <summary>Null before the first.</summary>
    public DateTimeOffset? LastAnswer => Interlocked.Read(ref last) is > 0 and var milliseconds ? DateTimeOffset.FromUnixTimeMilliseconds(milliseconds) : null;

    public void Add(int rows, Stages stages, DateTimeOffset now)
    {
        Interlocked.Increment(ref answers);
        Interlocked.Add(ref units, rows);
        if (stages.WasRemembered)
        {
            Interlocked.Increment(ref remembered);
            Interlocked.Add(ref rememberedUnits, rows);
        }
        Interlocked.Add(ref answeredTicks, stages.Total.Ticks);
        Interlocked.Add(ref parseTicks, (stages.Parse + stages.Features).Ticks);
        Interlocked.Add(ref queueTicks, stages.Queue.Ticks);
        Interlocked.Add(ref runTicks, stages.Run.Ticks);
        Interlocked.Add(ref recordTicks, stages.Journal.Ticks);
        Recent.Answered(rows, stages.Total);
        Interlocked.Exchange(ref last, now.ToUnixTimeMilliseconds());
    }

    public void AddRun() => Interlocked.Increment(ref runs);

    public void AddRefusal() => Interlocked.Increment(ref refusals);

    private static TimeSpan Read(ref long ticks) => TimeSpan.FromTicks(Interlocked.Read(ref ticks));
}
