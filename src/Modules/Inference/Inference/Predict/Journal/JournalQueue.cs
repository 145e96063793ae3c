namespace Platform.Inference.Predict.Journal;

/// <summary>What waits to be written. A writer takes all there is and never waits for more to come. An entry counts against the bounds
/// until it is finished, so that an outage cannot pile up rows in the writers' hands either.</summary>
internal sealed class JournalQueue(int maxEntries, long maxBytes)
{
    private readonly object guard = new();
    private readonly Queue<JournalEntry> entries = new();
    private int unfinished;
    private long unfinishedBytes;
    private bool closed;

    /// <summary>A glance without the lock, good enough to refuse work before it is done in vain.</summary>
    public bool IsFull => Volatile.Read(ref unfinished) >= maxEntries || Interlocked.Read(ref unfinishedBytes) >= maxBytes;

    public int Unfinished => Volatile.Read(ref unfinished);

    public bool TryAdd(JournalEntry entry)
    {
        lock (guard)
        {
            // A row larger than all the room there is may pass alone.
            if (closed || unfinished >= maxEntries || (unfinished > 0 && unfinishedBytes + entry.Length > maxBytes)) return false;
            unfinished++;
            unfinishedBytes += entry.Length;
            entries.Enqueue(entry);
            Monitor.Pulse(guard);
            return true;
        }
    }

    /// <summary>Moves what waits into <paramref name="batch"/>, up to so many bytes; when nothing waits, waits for the first, at most so long.
    /// False once the queue is closed and empty.</summary>
    public bool Take(List<JournalEntry> batch, long upToBytes, TimeSpan wait)
    {
        lock (guard)
        {
            if (entries.Count == 0 && !closed) Monitor.Wait(guard, wait);
            var taken = 0L;
            while (entries.TryPeek(out var next) && (taken == 0 || taken + next.Length <= upToBytes))
            {
                taken += next.Length;
                batch.Add(entries.Dequeue());
            }
            return !closed || batch.Count > 0;
        }
    }

    public void Finished(JournalEntry entry)
    {
        Interlocked.Decrement(ref unfinished);
        Interlocked.Add(ref unfinishedBytes, -entry.Length);
    }

    public void Close()
    {
        lock (guard)
        {
            closed = true;
            Monitor.PulseAll(guard);
        }
    }
}
