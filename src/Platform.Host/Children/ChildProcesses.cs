using System.Collections.Concurrent;
using Platform.Kernel;

namespace Platform.Host.Children;

/// <summary>Parent's side of child work. A child whose work has an owner stays for a few seconds, because files come in one after another and starting is
/// most of what a small one takes; nobody else's work ever comes to it.</summary>
internal sealed class ChildProcesses(ILogger<ChildProcesses> log) : IChildProcesses, IAsyncDisposable
{
    private const int MostKept = 4;

    /// <summary>Who holds more is not kept: the next work would have less, and its owner may never come again.</summary>
    private const long MostHeld = 256L << 20;

    private static readonly TimeSpan Stay = TimeSpan.FromSeconds(5);

    private readonly ConcurrentDictionary<string, Child> kept = new(StringComparer.Ordinal);

    public async Task<Result<byte[]>> RunAsync(string work, Func<Stream, CancellationToken, Task> writeInput, IProgress<ChildProgress> progress, CancellationToken ct, bool inBackground, string? owner)
    {
        if (owner is not null && kept.TryRemove(owner, out var used))
        {
            // What goes wrong in a process that has worked before may be the earlier work's fault, so it is done again in one that has not.
            var again = await RunAsync(used, work, writeInput, progress, owner, ct);
            if (again.Refusal is not { Code: Child.Failed }) return again;
        }

        return await RunAsync(Child.Start(inBackground, log), work, writeInput, progress, owner, ct);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var owner in kept.Keys)
        {
            if (kept.TryRemove(owner, out var child)) await child.DisposeAsync();
        }
    }

    private async Task<Result<byte[]>> RunAsync(Child child, string work, Func<Stream, CancellationToken, Task> writeInput, IProgress<ChildProgress> progress, string? owner, CancellationToken ct)
    {
        var isKept = false;
        try
        {
            var result = await child.RunAsync(work, writeInput, progress, ct);
            if (owner is null) await child.EndedAsync(ct);
            else isKept = result.IsOk && child.Holds() <= MostHeld && kept.Count < MostKept && kept.TryAdd(owner, child);
            return result;
        }
        finally
        {
            if (isKept) _ = EndLaterAsync(owner!, child);
            else await child.DisposeAsync();
        }
    }

    private async Task EndLaterAsync(string owner, Child child)
    {
        await Task.Delay(Stay);
        // Unless it is at work again, or a later stay has begun and its end is near anyway.
        if (kept.TryRemove(new(owner, child))) await child.DisposeAsync();
    }
}
