using Google.Protobuf;
using Platform.Registry.Onnx;

namespace Platform.Registry.Sharing;

/// <summary>A model's file with operators put behind one of its outputs, which keeps its name, type and shape. Everything else stays as it is:
/// what the parser does not know, such as the weights' bytes, is written back as it was read.</summary>
internal sealed class GraphChange
{
    private readonly OnnxModel model;
    private readonly HashSet<string> taken;

    public GraphChange(byte[] file, string output)
    {
        model = OnnxModel.Parser.ParseFrom(file);
        taken = [.. Names(model.Graph)];
        Output = output;
        Before = Fresh(output + "/base");
        Rename(model.Graph, output, Before);
        Element = model.Graph.Output.Single(o => o.Name == output).Type.Tensor.Element;
    }

    public string Output { get; }

    /// <summary>What the output's value is called now.</summary>
    public string Before { get; }

    /// <summary>The output's element type.</summary>
    public int Element { get; }

    public int ElementOf(string input) => model.Graph.Input.Single(i => i.Name == input).Type.Tensor.Element;

    /// <summary>Adds an operator with one output and returns the output's name.</summary>
    public string Add(string op, string[] inputs, OnnxAttribute[]? attributes = null, string? output = null)
    {
        var node = new OnnxNode { OpType = op, Input = { inputs }, Attribute = { attributes ?? [] }, Output = { output ?? Fresh($"{Output}/{op}") } };
        model.Graph.Node.Add(node);
        return node.Output[0];
    }

    public string Cast(string value, int from, int to) => from == to ? value : Add("Cast", [value], [GraphWriter.Int("to", to)]);

    /// <summary>A constant of the output's own type, or of another.</summary>
    public string Constant(double[] values, long[] dims, int? element = null)
    {
        var tensor = new OnnxTensor { Name = Fresh(Output + "/constant"), DataType = element ?? Element, Dims = { dims } };
        if (tensor.DataType == GraphWriter.Double) tensor.DoubleData.Add(values);
        else if (tensor.DataType == GraphWriter.Int64) tensor.Int64Data.Add(values.Select(v => (long)v));
        else tensor.FloatData.Add(values.Select(v => (float)v));
        model.Graph.Initializer.Add(tensor);
        return tensor.Name;
    }

    /// <summary>All operators and constants of another graph, under names of their own, and the new name of its only output.</summary>
    /// <param name="inputs">By the other graph's inputs, the values here that take their places.</param>
    public string Embed(OnnxGraph other, IReadOnlyDictionary<string, string> inputs)
    {
        var prefix = Output + "/correction";
        while (taken.Any(name => name.StartsWith(prefix + "/", StringComparison.Ordinal))) prefix += "_";
        string Named(string name) => name.Length == 0 ? name : inputs.TryGetValue(name, out var here) ? here : $"{prefix}/{name}";

        foreach (var constant in other.Initializer)
        {
            var copy = constant.Clone();
            copy.Name = Named(constant.Name);
            model.Graph.Initializer.Add(copy);
        }

        foreach (var node in other.Node)
        {
            var copy = node.Clone();
            copy.Name = $"{prefix}/{node.Name}";
            for (var i = 0; i < copy.Input.Count; i++) copy.Input[i] = Named(node.Input[i]);
            for (var i = 0; i < copy.Output.Count; i++) copy.Output[i] = Named(node.Output[i]);
            model.Graph.Node.Add(copy);
        }

        return Named(other.Output.Single().Name);
    }

    /// <summary>Between the two, what the model uses already stays.</summary>
    public void NeedOpset(string domain, int least, int most = OnnxLimits.MaxOpset)
    {
        var imported = model.OpsetImport.FirstOrDefault(o => o.Domain == domain || (domain.Length == 0 && o.Domain == "ai.onnx"));
        if (imported is null) model.OpsetImport.Add(imported = new OnnxOpset { Domain = domain });
        imported.Version = Math.Clamp(imported.Version, least, most);
        // Before 4 a constant had to be an input too.
        model.IrVersion = Math.Max(model.IrVersion, 4);
    }

    public byte[] ToBytes() => model.ToByteArray();

    /// <summary>The model with a multiplication and an addition behind its output.</summary>
    public static byte[] Scaled(byte[] file, string output, double slope, double intercept)
    {
        var change = new GraphChange(file, output);
        var multiplied = change.Add("Mul", [change.Before, change.Constant([slope], [])]);
        change.Add("Add", [multiplied, change.Constant([intercept], [])], output: output);
        return change.ToBytes();
    }

    private string Fresh(string name)
    {
        while (!taken.Add(name)) name += "_";
        return name;
    }

    /// <summary>Branches see the values around them by name, so a new name must be new in them too.</summary>
    private static IEnumerable<string> Names(OnnxGraph graph) =>
    [
        .. graph.Input.Select(i => i.Name), .. graph.Initializer.Select(t => t.Name), .. graph.SparseInitializer.Select(t => t.Values?.Name ?? ""),
        .. graph.Node.SelectMany(n => n.Output.Append(n.Name)), .. graph.Node.SelectMany(Branches).SelectMany(Names),
    ];

    private static IEnumerable<OnnxGraph> Branches(OnnxNode node) => node.Attribute.SelectMany(a => a.G is null ? a.Graphs : a.Graphs.Prepend(a.G));

    /// <summary>Wherever the value is made or used, branches included.</summary>
    private static void Rename(OnnxGraph graph, string from, string to)
    {
        foreach (var tensor in graph.Initializer.Where(t => t.Name == from)) tensor.Name = to;
        foreach (var node in graph.Node)
        {
            for (var i = 0; i < node.Input.Count; i++) if (node.Input[i] == from) node.Input[i] = to;
            for (var i = 0; i < node.Output.Count; i++) if (node.Output[i] == from) node.Output[i] = to;
            foreach (var branch in Branches(node))
            {
                Rename(branch, from, to);
                foreach (var value in branch.Output.Where(o => o.Name == from)) value.Name = to;
            }
        }
    }
}
