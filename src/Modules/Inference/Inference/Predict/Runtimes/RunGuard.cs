using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>Keeps a model that eats memory or hangs from taking the server with it. Beyond a limit the process is given no more memory, which ends the run
/// that asked, and shortly before it the longest run is stopped, so that small pieces do not add up to the same. And each run that goes on for long is made
/// up for by a thread, because it keeps one of the pool's, which by itself would be replaced only after half a second.</summary>
internal sealed partial class RunGuard(long limit, RunGate gate, ILogger<RunGuard> log) : IHostedService, IDisposable
{
    private const int RoundsKept = 100;

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    private readonly ManualResetEventSlim ended = new();

    public Task StartAsync(CancellationToken cancellationToken)
    {
        var isLimited = NativeMemory.Limit(limit);
        // On a thread of its own: those of the pool may all be in runs.
        new Thread(() => Watch(isLimited)) { IsBackground = true, Name = "Run guard" }.Start();
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        ended.Set();
        return Task.CompletedTask;
    }

    public void Dispose() => ended.Set();

    private void Watch(bool isLimited)
    {
        ThreadPool.GetMinThreads(out var workers, out var completions);
        var (added, unneeded) = (0, 0);
        while (!ended.Wait(Pause))
        {
            if (isLimited && NativeMemory.Allocated() is var allocated && allocated > limit / 10 * 9 && gate.StopLongest(RunFailure.OutOfMemory)) LogStopped(log, allocated, limit);
            var needed = gate.LongRuns;
            unneeded = needed < added ? unneeded + 1 : 0;
            if (needed <= added && unneeded < RoundsKept) continue;
            ThreadPool.SetMinThreads(workers + needed, completions);
            (added, unneeded) = (needed, 0);
        }
        if (added > 0) ThreadPool.SetMinThreads(workers, completions);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The process has allocated {Allocated} bytes of the {Limit} it may have; the longest run is stopped.")]
    private static partial void LogStopped(ILogger log, long allocated, long limit);
}
