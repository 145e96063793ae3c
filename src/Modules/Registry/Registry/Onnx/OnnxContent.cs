using Platform.Kernel;

namespace Platform.Registry.Onnx;

/// <summary>One walk over everything a file holds, branches and functions included: its operators, and the first thing that must not be there.
/// The parser's own nesting limit keeps the walk's recursion shallow.</summary>
internal sealed class OnnxContent
{
    private readonly List<OnnxNode> nodes = [];

    public OnnxContent(OnnxModel model)
    {
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
    }

    private void Judge(OnnxTensor? tensor)
    {
        if (tensor is null || (tensor.Location is OnnxTensor.Types.Location.Inside && tensor.ExternalData.Count == 0)) return;

        var path = tensor.ExternalData.FirstOrDefault(p => p.Key == "location")?.Value ?? "";
        var reach = Path.IsPathRooted(path) || path.Contains(':') ? ", by an absolute path,"
            : path.Split('/', '\\').Contains("..") ? ", by a path that climbs out of its folder,"
            : "";
        Refuse(Refusal.Invalid("onnx-external-data",
            $"The tensor '{OnnxInspector.Shown(tensor.Name)}' keeps its data outside the file{reach} in '{OnnxInspector.Shown(path)}'; only single-file models are taken.",
            "file", "Save the model as one file: onnx.save(model, path, save_as_external_data=False)."));
    }

    private void Refuse(Refusal refusal) => Refusal ??= refusal;
}
