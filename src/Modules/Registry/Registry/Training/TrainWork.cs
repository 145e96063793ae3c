using System.Buffers.Binary;
using System.Text.Json;
using Platform.Kernel;

namespace Platform.Registry.Training;

/// <summary>Training in a child process: the spec, the columns and the rows go in, the trained model comes out. A dataset that would exhaust
/// the machine, or a fault in native code, ends the child and not the platform.</summary>
internal sealed class TrainWork : IChildWork
{
    public const string WorkName = "train";

    /// <summary>What precedes the CSV on the way in.</summary>
    internal sealed record Header(TrainingSpec Spec, IReadOnlyList<TrainingColumn> Columns);

    private const int MaxHeaderBytes = 64 << 20;

    public string Name => WorkName;

    public async Task RunAsync(Stream input, Stream output, IProgress<ChildProgress> progress, CancellationToken ct)
    {
        var header = await ReadHeaderAsync<Header>(input, ct);
        var trained = await Trainer.TrainAsync(input, header.Columns, header.Spec, progress, ct);
        if (trained.Refusal is { } refusal) throw new ChildWorkRefusedException(refusal);

        await WriteHeaderAsync(output, trained.Value with { Onnx = [] }, ct);
        await output.WriteAsync(trained.Value.Onnx, ct);
    }

    /// <summary>The parent's side of the way in: writes the task and copies the rows behind it.</summary>
    public static async Task WriteTaskAsync(Stream output, Header header, Stream csv, CancellationToken ct)
    {
        await WriteHeaderAsync(output, header, ct);
        await csv.CopyToAsync(output, ct);
    }

    /// <summary>The parent's side of the way out.</summary>
    public static async Task<TrainedModel> ReadResultAsync(byte[] result, CancellationToken ct)
    {
        using var stream = new MemoryStream(result, writable: false);
        var trained = await ReadHeaderAsync<TrainedModel>(stream, ct);
        return trained with { Onnx = result[(int)stream.Position..] };
    }

    private static async Task WriteHeaderAsync<T>(Stream output, T header, CancellationToken ct)
    {
        var json = JsonSerializer.SerializeToUtf8Bytes(header);
        var length = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(length, json.Length);
        await output.WriteAsync(length, ct);
        await output.WriteAsync(json, ct);
    }

    private static async Task<T> ReadHeaderAsync<T>(Stream input, CancellationToken ct)
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
