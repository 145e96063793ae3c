namespace Platform.Kernel;

/// <summary>Heavy work (training) that runs in a child process of the same binary at low priority, so that predictions keep their latency,
/// a crash is contained and cancelling is killing. It gets everything through its input and has no database, no tenant and no keys.</summary>
public interface IChildWork
{
    /// <summary>The work's name: the host runs <c>Platform.Host --child {name}</c> and calls <see cref="RunAsync"/>.</summary>
    string Name { get; }

    /// <summary>Reads the whole task from <paramref name="input"/>, writes the whole result to <paramref name="output"/>.
    /// A thrown <see cref="ChildWorkRefusedException"/> reaches the parent as that refusal; anything else as an unknown failure.</summary>
    Task RunAsync(Stream input, Stream output, IProgress<ChildProgress> progress, CancellationToken ct);
}

/// <summary>How far the work is: <paramref name="Fraction"/> from 0 to 1 and what it is doing, for a person.</summary>
public sealed record ChildProgress(double Fraction, string Doing);

/// <summary>An expected failure inside child work, such as a constant target column.</summary>
public sealed class ChildWorkRefusedException(Refusal refusal) : Exception(refusal.Detail)
{
    public Refusal Refusal { get; } = refusal;
}

/// <summary>Starts child work and waits for it.</summary>
public interface IChildProcesses
{
    /// <summary>Runs the named work in a child process. Cancelling kills the child. The result is what the child wrote (at most 1 GiB).</summary>
    Task<Result<byte[]>> RunAsync(string work, Func<Stream, CancellationToken, Task> writeInput, IProgress<ChildProgress> progress, CancellationToken ct);
}
