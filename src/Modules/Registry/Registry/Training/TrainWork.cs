using Platform.Kernel;

namespace Platform.Registry.Training;

/// <summary>Training in a child process: the spec, the columns and the rows go in, the trained model comes out. A dataset that would exhaust
/// the machine, or a fault in native code, ends the child and not the platform.</summary>
internal sealed class TrainWork : IChildWork
{
    public const string WorkName = "train";

    /// <summary>What precedes the CSV on the way in.</summary>
    internal sealed record Header(TrainingSpec Spec, IReadOnlyList<TrainingColumn> Columns);

    public string Name => WorkName;

    public async Task RunAsync(Stream input, Stream output, IProgress<ChildProgress> progress, CancellationToken ct)
    {
        var header = await ChildFrames.ReadHeaderAsync<Header>(input, ct);
        var trained = await Trainer.TrainAsync(input, header.Columns, header.Spec, progress, ct);
        if (trained.Refusal is { } refusal) throw new ChildWorkRefusedException(refusal);

        await ChildFrames.WriteHeaderAsync(output, trained.Value with { Onnx = [], Evaluation = [] }, ct);
        await ChildFrames.WriteHeaderAsync(output, trained.Value.Evaluation, ct);
        await output.WriteAsync(trained.Value.Onnx, ct);
    }

    /// <summary>The parent's side of the way in: writes the task and copies the rows behind it.</summary>
    public static async Task WriteTaskAsync(Stream output, Header header, Stream csv, CancellationToken ct)
    {
        await ChildFrames.WriteHeaderAsync(output, header, ct);
        await csv.CopyToAsync(output, ct);
    }

    /// <summary>The parent's side of the way out.</summary>
    public static async Task<TrainedModel> ReadResultAsync(byte[] result, CancellationToken ct)
    {
        using var stream = new MemoryStream(result, writable: false);
        var trained = await ChildFrames.ReadHeaderAsync<TrainedModel>(stream, ct);
        var evaluation = await ChildFrames.ReadHeaderAsync<byte[]>(stream, ct);
        return trained with { Evaluation = evaluation, Onnx = result[(int)stream.Position..] };
    }
}
