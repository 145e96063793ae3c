using Google.Protobuf;
using Platform.Kernel;

namespace Platform.Registry.Onnx;

/// <summary>A file beside a model file, by its path from the model's folder.</summary>
internal sealed record FileBeside(string Path, byte[] Content);

/// <summary>Puts what a model keeps in files beside it into the model, so that a version is one file. Only files that came along are looked at, by the
/// path they came under: nothing is ever opened on a disk.</summary>
internal static class ExternalData
{
    /// <summary>The file with its data inside; the file itself when it keeps none outside.</summary>
    public static Result<byte[]> Inline(byte[] file, IReadOnlyList<FileBeside> beside)
    {
        if (beside.Count == 0) return file;
        DataModel model;
        try
        {
            model = DataModel.Parser.ParseFrom(file);
        }
        catch (InvalidProtocolBufferException)
        {
            // The inspector says what is wrong with it.
            return file;
        }

        var files = beside.ToDictionary(f => f.Path, f => f.Content, StringComparer.Ordinal);
        long room = OnnxLimits.MaxDenseBytes - file.Length;
        var carried = 0;
        foreach (var tensor in Tensors(model))
        {
            if (tensor.Location == 0 && tensor.ExternalData.Count == 0) continue;
            if (Carry(tensor, files, ref room) is { } refusal) return refusal;
            carried++;
        }

        return carried == 0 ? file : model.ToByteArray();
    }

    private static Refusal? Carry(DataTensor tensor, Dictionary<string, byte[]> files, ref long room)
    {
        string? Of(string key) => tensor.ExternalData.FirstOrDefault(p => p.Key == key)?.Value;
        var (name, path) = (OnnxInspector.Shown(tensor.Name), Of("location") ?? "");
        if (OnnxContent.Reach(path) is { Length: > 0 } reach)
            return Bad($"The tensor '{name}' keeps its data outside the file{reach} in '{OnnxInspector.Shown(path)}'.", "Save the data files in the model's own folder.");
        if (!files.TryGetValue(path.StartsWith("./", StringComparison.Ordinal) ? path[2..] : path, out var data))
            return Bad($"The tensor '{name}' keeps its data in '{OnnxInspector.Shown(path)}', which is not in the folder.", "Log the data file beside the model, or save the model as one file.");
        if (!TryNumber(Of("offset"), 0, out var offset) || !TryNumber(Of("length"), data.Length - offset, out var length) || offset > data.Length || length > data.Length - offset)
            return Bad($"The tensor '{name}' reads beyond the end of '{OnnxInspector.Shown(path)}', which has {data.Length:N0} bytes.", "Log the whole data file; compare its size with the original.");
        if ((room -= length) < 0)
            return new Refusal(RefusalKind.TooLarge, "onnx-too-large", $"The model and its data files come to more than {OnnxLimits.MaxDenseBytes:N0} bytes.", "file", "Make the model smaller.");

        tensor.RawData = ByteString.CopyFrom(data, (int)offset, (int)length);
        tensor.ExternalData.Clear();
        tensor.Location = 0;
        return null;
    }

    private static bool TryNumber(string? text, long otherwise, out long number)
    {
        number = otherwise;
        return text is null || (long.TryParse(text, out number) && number >= 0);
    }

    private static IEnumerable<DataTensor> Tensors(DataModel model) =>
        (model.Graph is null ? [] : Tensors(model.Graph)).Concat(model.Functions.SelectMany(f => f.Node).SelectMany(Tensors));

    private static IEnumerable<DataTensor> Tensors(DataGraph graph) =>
        graph.Initializer.Concat(graph.SparseInitializer.SelectMany(s => new[] { s.Values, s.Indices }).OfType<DataTensor>()).Concat(graph.Node.SelectMany(Tensors));

    private static IEnumerable<DataTensor> Tensors(DataNode node)
    {
        foreach (var attribute in node.Attribute)
        {
            if (attribute.T is not null) yield return attribute.T;
            foreach (var tensor in attribute.Tensors) yield return tensor;
            if (attribute.G is not null) foreach (var tensor in Tensors(attribute.G)) yield return tensor;
            foreach (var tensor in attribute.Graphs.SelectMany(Tensors)) yield return tensor;
        }
    }

    private static Refusal Bad(string detail, string mend) => Refusal.Invalid("onnx-external-data", detail, "file", mend);
}
