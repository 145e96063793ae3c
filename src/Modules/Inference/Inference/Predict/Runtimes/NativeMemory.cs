using System.Runtime.InteropServices;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>Memory outside the managed heap: how much the process holds, and giving back what unloaded models held.</summary>
internal static partial class NativeMemory
{
    private const long WorthTrimming = 32 << 20;
    private static long freed;

    /// <summary>Resident bytes of the process now; 0 where /proc is not to be had.</summary>
    public static long Resident() => Pages(1);

    /// <summary>Bytes of all that the process has allocated, touched or not: what <see cref="Limit"/> limits.</summary>
    public static long Allocated() => Pages(5);

    /// <summary>From now on an allocation beyond this fails, here and in processes started from here, instead of bringing the machine down: ONNX Runtime
    /// then ends the one run that asked for it. False where the system has no such limit, or the operator has set a lower one.</summary>
    public static bool Limit(long bytes) => OperatingSystem.IsLinux() && SetLimit(DataLimit, new(bytes, -1)) == 0;

    /// <summary>Whether this is of an allocation that failed, in the words of the C++ library and of ONNX Runtime.</summary>
    public static bool IsShortage(string message) => message.Contains("bad_alloc", StringComparison.Ordinal) || message.Contains("bad allocation", StringComparison.Ordinal) || message.Contains("allocate memory", StringComparison.Ordinal);

    private static long Pages(int field)
    {
        try
        {
            var fields = File.ReadAllText("/proc/self/statm").Split(' ');
            return long.Parse(fields[field]) * Environment.SystemPageSize;
        }
        catch (IOException)
        {
            return 0;
        }
    }

    /// <summary>Notes that a model of this size was disposed. glibc keeps freed memory for itself until it is asked to let go,
    /// so once enough has come together it is asked (200 unloaded sessions of 6 MB held 1.6 GB without it, and 3 MB with it).</summary>
    public static void Freed(long bytes)
    {
        if (Interlocked.Add(ref freed, bytes) >= WorthTrimming) Settle();
    }

    /// <summary>Gives back what was disposed since the last time, however little: after a change no more may follow for long.</summary>
    public static void Settle()
    {
        if (Interlocked.Exchange(ref freed, 0) > 0 && OperatingSystem.IsLinux()) ThreadPool.UnsafeQueueUserWorkItem(static _ => Trim(), null);
    }

    private static void Trim()
    {
        try
        {
            _ = MallocTrim(0);
        }
        catch (EntryPointNotFoundException)
        {
            // musl has no malloc_trim and returns freed memory by itself.
        }
    }

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int MallocTrim(nuint pad);

    [LibraryImport("libc", EntryPoint = "setrlimit")]
    private static partial int SetLimit(int resource, in ResourceLimit limit);

    /// <summary>RLIMIT_DATA: private writable memory, however it came about.</summary>
    private const int DataLimit = 2;

    private readonly record struct ResourceLimit(long Soft, long Hard);
}
