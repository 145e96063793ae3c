namespace Platform.Inference.Predict;

/// <summary>A plan's memory for requests under way, used again and again; bounded by number and by bytes, so that a burst of large requests leaves little behind,
/// and given back when the plan is replaced or its model is unloaded.</summary>
internal sealed class WorkPool(ServingPlan plan)
{
    private const int MostKept = 256;
    private const long MostBytes = 8 << 20;

    private readonly Lock guard = new();
    private readonly Stack<(PredictionWork Work, int Bytes)> idle = new();
    private long bytes;
    private bool closed;

    public PredictionWork Get()
    {
        lock (guard)
        {
            if (idle.TryPop(out var kept))
            {
                bytes -= kept.Bytes;
                return kept.Work;
            }
        }
        return new PredictionWork(plan);
    }

    public void Return(PredictionWork work)
    {
        work.Clear();
        var held = work.HeldBytes;
        lock (guard)
        {
            if (!closed && idle.Count < MostKept && bytes + held <= MostBytes)
            {
                idle.Push((work, held));
                bytes += held;
                return;
            }
        }
        work.Dispose();
    }

    /// <summary>Gives back what is idle.</summary>
    public void Drop()
    {
        (PredictionWork Work, int Bytes)[] dropped;
        lock (guard)
        {
            dropped = [.. idle];
            idle.Clear();
            bytes = 0;
        }
        foreach (var (work, _) in dropped) work.Dispose();
    }

    /// <summary>Keeps nothing from now on: the plan is out of use, and who still has a work of it is the last.</summary>
    public void Close()
    {
        lock (guard) closed = true;
        Drop();
    }
}
