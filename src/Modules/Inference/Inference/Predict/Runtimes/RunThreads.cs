using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>Threads for runs that take long. The thread pool begins with as many threads as there are cores, so two long runs on a machine of
/// two would leave nobody to read the next request, whoever's it is. They stand back for all other threads, because who runs for long notices
/// a millisecond less than who does not.</summary>
internal sealed partial class RunThreads(int count) : IDisposable
{
    /// <summary>A run that takes this long is worth the two changes of thread.</summary>
    private static readonly TimeSpan Long = TimeSpan.FromMicroseconds(250);

    private readonly BlockingCollection<Action> work = [];

    private int started;

    public static bool IsLong(TimeSpan run) => run >= Long;

    /// <summary>Awaited, it goes on in one of these threads.</summary>
    public Change ToOne() => new(this);

    public void Dispose() => work.CompleteAdding();

    private void Do(Action next)
    {
        work.Add(next);
        // Hosts whose models are all quick never have them.
        if (Volatile.Read(ref started) == 0 && Interlocked.Exchange(ref started, 1) == 0)
        {
            for (var i = 0; i < count; i++) new Thread(Work) { IsBackground = true, Name = "Model runs" }.Start();
        }
    }

    private void Work()
    {
        StandBack();
        foreach (var next in work.GetConsumingEnumerable()) next();
    }

    /// <summary>.NET's own priorities of threads do nothing on Linux, where 0 names the calling thread here.</summary>
    private static void StandBack()
    {
        if (OperatingSystem.IsLinux()) _ = SetPriority(0, 0, 10);
    }

    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, uint who, int nice);

    internal readonly struct Change(RunThreads threads) : ICriticalNotifyCompletion
    {
        public bool IsCompleted => false;

        public Change GetAwaiter() => this;

        public void GetResult()
        {
        }

        public void OnCompleted(Action continuation) => UnsafeOnCompleted(continuation);

        public void UnsafeOnCompleted(Action continuation)
        {
            // After the end of the host somebody may still be on the way; it then goes on where it is.
            if (threads.work.IsAddingCompleted) continuation();
            else threads.Do(continuation);
        }
    }
}
