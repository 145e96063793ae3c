using System.Buffers.Binary;
using System.Text.Json;

namespace Platform.Kernel;

/// <summary>Heavy work (training) that runs in a child process of the same binary at low priority, so that predictions keep their latency,
/// a crash is contained and cancelling is killing. It gets everything through its input and has no database, no tenant and no keys.</summary>
public interface IChildWork
{
    /// <summary>The work's name: the host runs <c>Platform.Host --child</c>, sends it the name and has it call <see cref="RunAsync"/>.</summary>
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
    /// <param name="inBackground">Whether it may take the time it takes: it then runs only where nobody else wants to. Somebody waits for the answer otherwise.</param>
    /// <param name="owner">Whose work it is. Its process stays a few seconds for more work of the same owner, which may find what an earlier one left in memory;
    /// null for work that needs a process of its own. Where it has an owner, <paramref name="writeInput"/> may be called twice.</param>
    Task<Result<byte[]>> RunAsync(
        string work, Func<Stream, CancellationToken, Task> writeInput, IProgress<ChildProgress> progress, CancellationToken ct, bool inBackground = false, string? owner = null);
}

/// <summary>How a name, or a task or a result with files behind it, goes through a pipe: the length of the JSON, the JSON, and then the bytes.</summary>
public static class ChildFrames
{
    private const int MaxHeaderBytes = 64 << 20;

    /// <summary>Writes the JSON and its length; the bytes follow it.</summary>
    public static async Task WriteHeaderAsync<T>(Stream output, T header, CancellationToken ct)
    {
        var json = JsonSerializer.SerializeToUtf8Bytes(header);
        var length = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(length, json.Length);
        await output.WriteAsync(length, ct);
        await output.WriteAsync(json, ct);
    }

    /// <summary>Reads what <see cref="WriteHeaderAsync"/> wrote, and leaves the stream at the bytes behind it.</summary>
    public static async Task<T> ReadHeaderAsync<T>(Stream input, CancellationToken ct)
    {
        var length = new byte[sizeof(int)];
        await input.ReadExactlyAsync(length, ct);
        var bytes = BinaryPrimitives.ReadInt32LittleEndian(length);
        if (bytes is < 0 or > MaxHeaderBytes) throw new InvalidDataException($"A header of {bytes} bytes is not one of ours.");
        var json = new byte[bytes];
        await input.ReadExactlyAsync(json, ct);
        return JsonSerializer.Deserialize<T>(json) ?? throw new InvalidDataException("The header is empty.");
    }
}
