using Platform.Kernel;

namespace Platform.Registry.Onnx;

/// <summary>One walk over everything a file holds, branches and functions included: its operators, and the first thing that must not be there.
/// The parser's own nesting limit keeps the walk's recursion shallow.</summary>
internal sealed class OnnxContent
{
    private readonly List<OnnxNode> nodes = [];

    private readonly long fileBytes;
    private double declaredBytes;

    /// <param name="fileBytes">How long the file is: what tensors declare must lie in it.</param>
    public OnnxContent(OnnxModel model, long fileBytes)
    {
        this.fileBytes = fileBytes;
        Walk(model.Graph, depth: 1);
        foreach (var function in model.Functions)
        {
            foreach (var attribute in function.DefaultAttribute) Walk(attribute, depth: 1);
            foreach (var node in function.Node) Walk(node, depth: 1);
        }
    }

    public IReadOnlyList<OnnxNode> Nodes => nodes;

    public Refusal? Refusal { get; private set; }

    private void Walk(OnnxGraph graph, int depth)
    {
        if (depth > OnnxLimits.MaxDepth)
            Refuse(Refusal.Invalid("onnx-too-deep", $"The graph nests branches more than {OnnxLimits.MaxDepth} deep.", "file", "Flatten the model's control flow."));
        if (Refusal is not null) return;

        foreach (var tensor in graph.Initializer) Judge(tensor);
        foreach (var sparse in graph.SparseInitializer) Judge(sparse);
        foreach (var node in graph.Node) Walk(node, depth);
    }

    private void Walk(OnnxNode node, int depth)
    {
        if (nodes.Count == OnnxLimits.MaxNodes)
            Refuse(new Refusal(RefusalKind.TooLarge, "onnx-too-large", $"The graph has more than {OnnxLimits.MaxNodes:N0} operators.", "file", "Simplify the model before exporting it."));
        if (Refusal is not null) return;

        nodes.Add(node);
        foreach (var attribute in node.Attribute) Walk(attribute, depth);
    }

    private void Walk(OnnxAttribute attribute, int depth)
    {
        Judge(attribute.T);
        Judge(attribute.SparseTensor);
        foreach (var tensor in attribute.Tensors) Judge(tensor);
        foreach (var sparse in attribute.SparseTensors) Judge(sparse);
        if (attribute.G is { } branch) Walk(branch, depth + 1);
        foreach (var graph in attribute.Graphs) Walk(graph, depth + 1);
    }

    private void Judge(OnnxSparseTensor? sparse)
    {
        Judge(sparse?.Values);
        Judge(sparse?.Indices);
        // The runtime makes it dense: a file of a few bytes could ask for all memory there is.
        if (sparse is not null && Elements(sparse.Dims) * 8 is var dense && !(dense <= OnnxLimits.MaxDenseBytes))
            Refuse(new Refusal(RefusalKind.TooLarge, "onnx-too-large",
                $"The sparse tensor '{OnnxInspector.Shown(sparse.Values?.Name ?? "")}' declares {Elements(sparse.Dims):N0} elements, which unpack to more than {OnnxLimits.MaxDenseBytes:N0} bytes.", "file", "Save a smaller tensor."));
    }

    private void Judge(OnnxTensor? tensor)
    {
        if (tensor is null) return;
        if (tensor.Dims.Any(d => d < 0))
            Refuse(Refusal.Invalid("onnx-bad-tensor", $"The tensor '{OnnxInspector.Shown(tensor.Name)}' declares a negative dimension.", "file", "Export the model again."));
        JudgeSize(tensor);
        if (tensor is { Location: OnnxTensor.Types.Location.Inside, ExternalData.Count: 0 }) return;

        var path = tensor.ExternalData.FirstOrDefault(p => p.Key == "location")?.Value ?? "";
        Refuse(Refusal.Invalid("onnx-external-data",
            $"The tensor '{OnnxInspector.Shown(tensor.Name)}' keeps its data outside the file{Reach(path)} in '{OnnxInspector.Shown(path)}'; a file sent by itself must hold all of its data.",
            "file", "Save the model as one file: onnx.save(model, path, save_as_external_data=False); or log the folder with a client of MLflow, which brings the data files along."));
    }

    /// <summary>Where a path to a data file leads, in words; empty for one that stays in the folder, however often it was encoded.</summary>
    public static string Reach(string path)
    {
        for (var decoded = path; ;)
        {
            if (Path.IsPathRooted(decoded) || decoded.StartsWith('\\') || decoded.Contains(':')) return ", by an absolute path,";
            if (decoded.Split('/', '\\').Contains("..")) return ", by a path that climbs out of its folder,";
            var further = Uri.UnescapeDataString(decoded);
            if (further == decoded) return "";
            decoded = further;
        }
    }

    /// <summary>What a tensor declares must be there: each element takes at least its encoding's fewest bytes of the file, all tensors together.</summary>
    private void JudgeSize(OnnxTensor tensor)
    {
        if (tensor.Location is OnnxTensor.Types.Location.External) return;
        var declared = Elements(tensor.Dims) * FewestBytes(tensor.DataType);
        declaredBytes += declared;
        if (!(declared <= fileBytes))
            Refuse(Refusal.Invalid("onnx-bad-tensor", $"The tensor '{OnnxInspector.Shown(tensor.Name)}' declares {Elements(tensor.Dims):N0} elements, more than the whole file of {fileBytes:N0} bytes can hold.", "file",
                "Send the whole file; compare its size and SHA-256 with the original."));
        else if (!(declaredBytes <= fileBytes))
            Refuse(Refusal.Invalid("onnx-bad-tensor", $"The tensors together declare more than the file of {fileBytes:N0} bytes can hold.", "file", "Send the whole file; compare its size and SHA-256 with the original."));
    }

    /// <summary>As a floating-point number, because a product of dimensions may be beyond every integer.</summary>
    public static double Elements(IEnumerable<long> dims) => dims.Aggregate(1.0, (product, dim) => product * dim);

    /// <summary>Of one element in the file: integers may be packed into one byte each, floating-point numbers never.</summary>
    private static double FewestBytes(int dataType) => dataType switch
    {
        1 => 4,
        11 => 8,
        14 => 8,
        15 => 16,
        21 or 22 or 23 => 0.5,
        _ => 1,
    };

    private void Refuse(Refusal refusal) => Refusal ??= refusal;
}
