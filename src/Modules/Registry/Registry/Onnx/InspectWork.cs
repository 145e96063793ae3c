using System.Text.Json;
using Platform.Kernel;

namespace Platform.Registry.Onnx;

/// <summary>Inspection of an uploaded file in a child process: loading a hostile file can at worst end the child.</summary>
internal sealed class InspectWork : IChildWork
{
    public const string WorkName = "inspect-onnx";

    public string Name => WorkName;

    public async Task RunAsync(Stream input, Stream output, IProgress<ChildProgress> progress, CancellationToken ct)
    {
        using var file = new MemoryStream();
        await input.CopyToAsync(file, ct);
        var inspected = OnnxInspector.Inspect(file.ToArray());
        if (inspected.Refusal is { } refusal) throw new ChildWorkRefusedException(refusal);
        await JsonSerializer.SerializeAsync(output, inspected.Value, cancellationToken: ct);
    }

    public static InspectedModel ReadResult(byte[] result) =>
        JsonSerializer.Deserialize<InspectedModel>(result) ?? throw new InvalidDataException("The inspection wrote nothing.");
}
