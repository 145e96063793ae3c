using System.Text;
using Google.Protobuf;

namespace Platform.Registry.Onnx;

/// <summary>Writes one ONNX graph, operator by operator. Names inside the graph never collide with a caller's column names.</summary>
internal sealed class GraphWriter
{
    /// <summary>Chosen for reach: every runtime of the last years reads operator set 17 with ai.onnx.ml 3.</summary>
    public const int IrVersion = 8;
    public const int Opset = 17;
    public const int MlOpset = 3;

    /// <summary>Operators of the classical machine learning domain.</summary>
    public const string Ml = "ai.onnx.ml";

    public const int Float = 1;
    public const int Int64 = 7;
    public const int Text = 8;
    public const int Double = 11;

    private readonly OnnxGraph graph = new() { Name = "model" };
    private readonly HashSet<string> taken;

    /// <param name="reserved">Names of inputs and outputs to come.</param>
    public GraphWriter(IEnumerable<string> reserved) => taken = [.. reserved];

    /// <summary>An input of one column and any number of rows.</summary>
    public string Column(string name, int element)
    {
        graph.Input.Add(Value(name, element));
        return name;
    }

    public void Output(string name, int element) => graph.Output.Add(Value(name, element));

    public string Constant(string hint, long[] values, params long[] dims) => Constant(new OnnxTensor { Name = Fresh(hint), DataType = Int64, Int64Data = { values }, Dims = { dims } });

    public string Constant(string hint, float[] values, params long[] dims) => Constant(new OnnxTensor { Name = Fresh(hint), DataType = Float, FloatData = { values }, Dims = { dims } });

    public string Constant(string hint, double[] values, params long[] dims) => Constant(new OnnxTensor { Name = Fresh(hint), DataType = Double, DoubleData = { values }, Dims = { dims } });

    /// <summary>Adds an operator with one output and returns the output's name: <paramref name="output"/> when given, else a fresh one.</summary>
    public string Add(string op, IEnumerable<string> inputs, OnnxAttribute[]? attributes = null, string domain = "", string? output = null)
    {
        var node = new OnnxNode { OpType = op, Domain = domain, Name = Fresh(op), Input = { inputs }, Attribute = { attributes ?? [] } };
        node.Output.Add(output ?? Fresh(op + ".out"));
        graph.Node.Add(node);
        return node.Output[0];
    }

    public string Cast(string value, int element) => Add("Cast", [value], [Int("to", element)]);

    public byte[] ToBytes(IReadOnlyDictionary<string, string> metadata)
    {
        var model = new OnnxModel
        {
            IrVersion = IrVersion,
            ProducerName = "platform",
            Graph = graph,
            OpsetImport = { new OnnxOpset { Domain = "", Version = Opset }, new OnnxOpset { Domain = Ml, Version = MlOpset } },
        };
        model.Metadata.AddRange(metadata.Select(m => new OnnxPair { Key = m.Key, Value = m.Value }));
        return model.ToByteArray();
    }

    public static OnnxAttribute Int(string name, long value) => new() { Name = name, Kind = OnnxAttribute.Types.Kind.Int, I = value };

    public static OnnxAttribute Real(string name, float value) => new() { Name = name, Kind = OnnxAttribute.Types.Kind.Float, F = value };

    public static OnnxAttribute Word(string name, string value) => new() { Name = name, Kind = OnnxAttribute.Types.Kind.String, S = ByteString.CopyFromUtf8(value) };

    public static OnnxAttribute Ints(string name, IEnumerable<long> values) => new() { Name = name, Kind = OnnxAttribute.Types.Kind.Ints, Ints = { values } };

    public static OnnxAttribute Reals(string name, IEnumerable<float> values) => new() { Name = name, Kind = OnnxAttribute.Types.Kind.Floats, Floats = { values } };

    public static OnnxAttribute Words(string name, IEnumerable<string> values) =>
        new() { Name = name, Kind = OnnxAttribute.Types.Kind.Strings, Strings = { values.Select(v => ByteString.CopyFrom(v, Encoding.UTF8)) } };

    public static OnnxAttribute Reals(string name, double[] values) =>
        new() { Name = name, Kind = OnnxAttribute.Types.Kind.Tensor, T = new OnnxTensor { Name = name, DataType = Double, DoubleData = { values }, Dims = { values.Length } } };

    private string Constant(OnnxTensor tensor)
    {
        graph.Initializer.Add(tensor);
        return tensor.Name;
    }

    private static OnnxValue Value(string name, int element) => new()
    {
        Name = name,
        Type = new OnnxType
        {
            Tensor = new OnnxType.Types.Tensor
            {
                Element = element,
                Shape = new OnnxShape { Dim = { new OnnxShape.Types.Dim { Symbol = "rows" }, new OnnxShape.Types.Dim { Fixed = 1 } } },
            },
        },
    };

    private string Fresh(string hint)
    {
        var name = hint;
        for (int i = 1; !taken.Add(name); i++) name = $"{hint}.{i}";
        return name;
    }
}
