using Platform.Kernel;

namespace Platform.Registry.Onnx;

/// <summary>Inspection of an uploaded file in a child process: loading a hostile file can at worst end the child.</summary>
internal sealed class InspectWork : IChildWork
{
    public const string WorkName = "inspect-onnx";

    /// <summary>What precedes the files on the way in.</summary>
    /// <param name="Files">The model's own and then those beside it, in the order in which they follow.</param>
    internal sealed record Header(IReadOnlyList<Following> Files);

    internal sealed record Following(string Path, long Bytes);

    public string Name => WorkName;

    public async Task RunAsync(Stream input, Stream output, IProgress<ChildProgress> progress, CancellationToken ct)
    {
        var header = await ChildFrames.ReadHeaderAsync<Header>(input, ct);
        List<FileBeside> files = [];
        foreach (var following in header.Files)
        {
            var content = new byte[following.Bytes];
            await input.ReadExactlyAsync(content, ct);
            files.Add(new(following.Path, content));
        }

        var file = files[0].Content;
        var whole = ExternalData.Inline(file, files[1..]);
        files.Clear();
        if (whole.Refusal is { } apart) throw new ChildWorkRefusedException(apart);
        var inspected = OnnxInspector.Inspect(whole.Value);
        if (inspected.Refusal is { } refusal) throw new ChildWorkRefusedException(refusal);

        await ChildFrames.WriteHeaderAsync(output, inspected.Value, ct);
        // Only a file that was changed goes back.
        if (!ReferenceEquals(whole.Value, file)) await output.WriteAsync(whole.Value, ct);
    }

    /// <summary>What was found, and the file with its data inside where it had some outside; else nothing.</summary>
    public static async Task<(InspectedModel Model, ReadOnlyMemory<byte> Inlined)> ReadResultAsync(byte[] result, CancellationToken ct)
    {
        using var stream = new MemoryStream(result, writable: false);
        var model = await ChildFrames.ReadHeaderAsync<InspectedModel>(stream, ct);
        return (model, result.AsMemory((int)stream.Position));
    }
}
