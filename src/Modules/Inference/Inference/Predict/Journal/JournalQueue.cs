using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Platform.Inference.Predict.Journal;

/// <summary>What waits to be written, and when a writer sets off with it. Every commit costs the same whatever is in it, so: when nobody is writing, a
/// durable row leaves at once; while somebody is, an idle writer waits for a batch of at least that size (or a moment); buffered rows, for which
/// nobody waits, are collected. A tenant of few rows does not wait behind others' many: they leave with the next writer, who takes few of the others' along.
/// An entry counts against the bounds until it is finished, so that an outage cannot pile up rows in the writers' hands either.</summary>
internal sealed class JournalQueue(int maxEntries, long maxBytes) : IDisposable
{
    private const int WorthWriting = 512;
    private const int Few = 4;
    private const long BesideLight = 32 << 10;
    private static readonly TimeSpan LongestPairing = TimeSpan.FromMilliseconds(5), LongestCollecting = TimeSpan.FromMilliseconds(20);

    private readonly object guard = new();
    private readonly Queue<JournalEntry> entries = new();

    /// <summary>Durable rows of tenants of whom few waited or were being written when they came, while somebody was writing.</summary>
    private readonly Queue<JournalEntry> light = new();

    /// <summary>Rows that wait or are being written, by tenant.</summary>
    private readonly Dictionary<string, int> underWay = new(StringComparer.Ordinal);

    private readonly AutoResetEvent lightCame = new(false);
    private bool lightWriterIdle;
    private int durable, beingWritten, unfinished;
    private long firstCame, unfinishedBytes;
    private bool closed;

    /// <summary>A glance without the lock, good enough to refuse work before it is done in vain.</summary>
    public bool IsFull => Volatile.Read(ref unfinished) >= maxEntries || Interlocked.Read(ref unfinishedBytes) >= maxBytes;

    public int Unfinished => Volatile.Read(ref unfinished);

    private int Waiting => entries.Count + light.Count;

    public bool TryAdd(JournalEntry entry)
    {
        lock (guard)
        {
            // A row larger than all the room there is may pass alone.
            if (closed || unfinished >= maxEntries || (unfinished > 0 && unfinishedBytes + entry.Length > maxBytes)) return false;
            unfinished++;
            unfinishedBytes += entry.Length;
            if (Waiting == 0) firstCame = Stopwatch.GetTimestamp();
            ref var ofTenant = ref CollectionsMarshal.GetValueRefOrAddDefault(underWay, entry.Tenant, out _);
            (++ofTenant <= Few && entry.Durable && beingWritten > 0 ? light : entries).Enqueue(entry);
            if (entry.Durable) durable++;
            // A writer that waits for the first row, or for as many as are being written; one more beside either need not wake it.
            if (light.Count == 1 && lightWriterIdle) lightCame.Set();
            else if (Waiting == 1 || IsDue) Monitor.Pulse(guard);
            return true;
        }
    }

    /// <summary>Moves what waits into <paramref name="batch"/>, up to so many bytes, once it is worth setting off; when nothing waits, waits for the first,
    /// at most so long. The batch counts as being written until <see cref="Written"/>. False once the queue is closed and empty.</summary>
    public bool Take(List<JournalEntry> batch, long upToBytes, TimeSpan wait)
    {
        lock (guard)
        {
            if (Waiting == 0 && !closed) Monitor.Wait(guard, wait);
            while (Waiting > 0 && !closed && !IsDue && Remaining() is var remaining && remaining > TimeSpan.Zero) Monitor.Wait(guard, remaining);
            var others = light.Count > 0 ? BesideLight : upToBytes;
            Move(light, batch, upToBytes);
            Move(entries, batch, others);
            if (Waiting > 0) firstCame = Stopwatch.GetTimestamp();
            beingWritten += batch.Count;
            return !closed || batch.Count > 0;
        }
    }

    /// <summary>The same for the writer that is kept for the few rows of those who write little: it takes nothing else, and waits for nothing to come together.</summary>
    public bool TakeLight(List<JournalEntry> batch, long upToBytes, TimeSpan wait)
    {
        lock (guard) lightWriterIdle = light.Count == 0;
        if (lightWriterIdle) lightCame.WaitOne(wait);
        lock (guard)
        {
            lightWriterIdle = false;
            Move(light, batch, upToBytes);
            beingWritten += batch.Count;
            return !closed || batch.Count > 0;
        }
    }

    /// <summary>A writer is back with the rows that it had taken, however they ended.</summary>
    public void Written(ReadOnlySpan<string> tenants)
    {
        lock (guard)
        {
            beingWritten -= tenants.Length;
            foreach (var tenant in tenants)
            {
                ref var rows = ref CollectionsMarshal.GetValueRefOrNullRef(underWay, tenant);
                if (--rows == 0) underWay.Remove(tenant);
            }
            if (Waiting > 0) Monitor.Pulse(guard);
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
            lightCame.Set();
            Monitor.PulseAll(guard);
        }
    }

    public void Dispose() => lightCame.Dispose();

    private bool IsDue => (light.Count > 0 && !lightWriterIdle) || entries.Count >= WorthWriting || (durable > 0 && entries.Count >= beingWritten);

    private void Move(Queue<JournalEntry> from, List<JournalEntry> batch, long upToBytes)
    {
        var taken = 0L;
        while (from.TryPeek(out var next) && (taken == 0 || taken + next.Length <= upToBytes))
        {
            taken += next.Length;
            if (next.Durable) durable--;
            batch.Add(from.Dequeue());
        }
    }

    private TimeSpan Remaining() => (durable > 0 ? LongestPairing : LongestCollecting) - Stopwatch.GetElapsedTime(firstCame);
}
