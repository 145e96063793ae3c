using Google.Protobuf;
using Platform.Registry.Onnx;

namespace Platform.Load;

/// <summary>What is measured on: models of made-up weights, as large as real ones, written here so that a measurement needs no file from elsewhere.</summary>
/// <param name="Features">Elements of one row.</param>
/// <param name="Row">Shape of one row, without the batch.</param>
internal sealed record Model(string Name, byte[] Onnx, int Features, long[] Row)
{
    private const int Float = 1, Int64 = 7, Bool = 9;

    /// <summary>200 trees of 64 leaves on 30 numbers, as a gradient boosting would leave them.</summary>
    public static Model Trees()
    {
        const int Trees = 200, Depth = 6, Features = 30, Inner = (1 << Depth) - 1, All = (1 << (Depth + 1)) - 1;
        var random = new Random(7);
        List<long> tree = [], node = [], feature = [], yes = [], no = [], leafTree = [], leafNode = [];
        List<float> value = [], weight = [];
        List<string> mode = [];
        for (var t = 0; t < Trees; t++)
        {
            for (var n = 0; n < All; n++)
            {
                var inner = n < Inner;
                tree.Add(t);
                node.Add(n);
                mode.Add(inner ? "BRANCH_LEQ" : "LEAF");
                feature.Add(inner ? random.Next(Features) : 0);
                value.Add(inner ? (float)((random.NextDouble() * 2) - 1) : 0);
                yes.Add(inner ? (2 * n) + 1 : 0);
                no.Add(inner ? (2 * n) + 2 : 0);
                if (inner) continue;
                leafTree.Add(t);
                leafNode.Add(n);
                weight.Add((float)(random.NextDouble() - 0.5));
            }
        }

        var ensemble = Node("TreeEnsembleRegressor", ["x"], ["y"], "ai.onnx.ml");
        ensemble.Attribute.Add([
            Ints("nodes_treeids", tree), Ints("nodes_nodeids", node), Ints("nodes_featureids", feature), Floats("nodes_values", value), Texts("nodes_modes", mode),
            Ints("nodes_truenodeids", yes), Ints("nodes_falsenodeids", no), Ints("target_treeids", leafTree), Ints("target_nodeids", leafNode),
            Ints("target_ids", leafTree.Select(_ => 0L)), Floats("target_weights", weight), new OnnxAttribute { Name = "n_targets", I = 1, Kind = OnnxAttribute.Types.Kind.Int }]);
        return Of("trees", [ensemble], [], [Features], [1]);
    }

    /// <summary>Dense layers with rectifiers between them; another seed makes another model.</summary>
    public static Model Dense(string name, int seed, params int[] widths)
    {
        List<OnnxNode> nodes = [];
        List<OnnxTensor> weights = [];
        var x = "x";
        for (var i = 1; i < widths.Length; i++)
        {
            weights.Add(Weights($"w{i}", widths[i - 1], [widths[i - 1], widths[i]], seed));
            weights.Add(Weights($"b{i}", widths[i], [widths[i]], seed));
            nodes.Add(Node("Gemm", [x, $"w{i}", $"b{i}"], [i == widths.Length - 1 ? "y" : $"g{i}"]));
            if (i < widths.Length - 1) nodes.Add(Node("Relu", [$"g{i}"], [x = $"r{i}"]));
        }

        return Of(name, nodes, weights, [widths[0]], [widths[^1]]);
    }

    /// <summary>About 1.3 million weights.</summary>
    public static Model Mlp() => Dense("mlp", 1, 256, 1024, 1024, 10);

    /// <summary>About 11 million multiply-adds a row.</summary>
    public static Model HeavyMlp() => Dense("mlp-heavy", 1, 784, 3072, 2816, 10);

    /// <summary>Three convolutions on a picture of 3 × 32 × 32.</summary>
    public static Model Cnn()
    {
        int[] channels = [3, 16, 32, 64];
        List<OnnxNode> nodes = [];
        List<OnnxTensor> weights = [];
        var x = "x";
        for (var i = 1; i < channels.Length; i++)
        {
            weights.Add(Weights($"k{i}", channels[i - 1] * 9, [channels[i], channels[i - 1], 3, 3]));
            var convolution = Node("Conv", [x, $"k{i}"], [$"c{i}"]);
            convolution.Attribute.Add([Ints("pads", [1, 1, 1, 1]), Ints("strides", i == 1 ? [1, 1] : [2, 2])]);
            nodes.Add(convolution);
            nodes.Add(Node("Relu", [$"c{i}"], [x = $"r{i}"]));
        }

        nodes.Add(Node("GlobalAveragePool", [x], ["pooled"]));
        nodes.Add(Node("Flatten", ["pooled"], ["flat"]));
        weights.Add(Weights("w", 64, [64, 10]));
        nodes.Add(Node("MatMul", ["flat", "w"], ["y"]));
        return Of("cnn", nodes, weights, [3, 32, 32], [10]);
    }

    /// <summary>Fails on any number but 0 and 1, which are places in its table.</summary>
    public static Model Throws() => Of("throws", [Node("Cast", ["x"], ["place"], attributes: Whole("to", Int64)), Node("Gather", ["table", "place"], ["y"])], [Weights("table", 1, [2])], [1], [1]);

    /// <summary>x / x: no number where x is 0.</summary>
    public static Model ByItself() => Of("nan", [Node("Div", ["x", "x"], ["y"])], [], [1], [1]);

    /// <summary>Adds 1 as often as its one row says.</summary>
    public static Model Loops()
    {
        var body = new OnnxGraph
        {
            Name = "body",
            Node = { Node("Identity", ["go"], ["still"]), Node("Constant", [], ["one"], attributes: Floats("value_floats", [1])), Node("Add", ["sum", "one"], ["more"]) },
            Input = { Plain("i", Int64), Plain("go", Bool), Plain("sum", Float, 1) },
            Output = { Plain("still", Bool), Plain("more", Float, 1) },
        };
        return Of("loops",
        [
            .. Whole("x", "times"),
            Node("Constant", [], ["zero"], attributes: Floats("value_floats", [0])),
            Node("Loop", ["times", "", "zero"], ["sum"], attributes: new OnnxAttribute { Name = "body", G = body, Kind = OnnxAttribute.Types.Kind.Graph }),
            .. AsRow("sum"),
        ], [], [1], [1]);
    }

    /// <summary>Makes as many zeros as its one row says, and adds them up.</summary>
    public static Model Hungry() => Of("hungry",
        [
            .. Whole("x", "count"),
            Node("ConstantOfShape", ["count"], ["zeros"]),
            Node("Constant", [], ["axis"], attributes: Ints("value_ints", [0])),
            Node("ReduceSum", ["zeros", "axis"], ["sum"]),
            .. AsRow("sum"),
        ], [], [1], [1]);

    /// <summary>Gives back its rows of 1,000 numbers: an answer as large as one likes.</summary>
    public static Model Echo() => Of("echo", [Node("Identity", ["x"], ["y"])], [], [1000], [1000]);

    /// <summary>Different rows, because one repeated row lets the processor learn a tree's path.</summary>
    public float[][] Rows(int count)
    {
        var random = new Random(11);
        return [.. Enumerable.Range(0, count).Select(_ => Enumerable.Range(0, Features).Select(_ => (float)Math.Round((random.NextDouble() * 2) - 1, 4)).ToArray())];
    }

    private static Model Of(string name, IEnumerable<OnnxNode> nodes, IEnumerable<OnnxTensor> weights, long[] row, long[] answer)
    {
        var graph = new OnnxGraph { Name = name, Node = { nodes }, Initializer = { weights }, Input = { Value("x", row) }, Output = { Value("y", answer) } };
        var model = new OnnxModel { IrVersion = 8, ProducerName = "platform-load", Graph = graph, OpsetImport = { new OnnxOpset { Version = 17 }, new OnnxOpset { Domain = "ai.onnx.ml", Version = 3 } } };
        return new(name, model.ToByteArray(), (int)row.Aggregate(1L, (product, size) => product * size), row);
    }

    private static OnnxNode Node(string type, string[] inputs, string[] outputs, string domain = "", params OnnxAttribute[] attributes) =>
        new() { OpType = type, Domain = domain, Input = { inputs }, Output = { outputs }, Attribute = { attributes } };

    /// <summary>The one row's one number as a whole one.</summary>
    private static OnnxNode[] Whole(string from, string to) =>
        [Node("Cast", [from], ["whole"], attributes: Whole("to", Int64)), Node("Constant", [], ["single"], attributes: Ints("value_ints", [1])), Node("Reshape", ["whole", "single"], [to])];

    /// <summary>A number as the one row of the answer.</summary>
    private static OnnxNode[] AsRow(string from) => [Node("Constant", [], ["row"], attributes: Ints("value_ints", [1, 1])), Node("Reshape", [from, "row"], ["y"])];

    private static OnnxValue Plain(string name, int element, params long[] shape) => new()
    {
        Name = name,
        Type = new OnnxType { Tensor = new OnnxType.Types.Tensor { Element = element, Shape = new OnnxShape { Dim = { shape.Select(size => new OnnxShape.Types.Dim { Fixed = size }) } } } },
    };

    private static OnnxTensor Weights(string name, int fanIn, long[] shape, int seed = 1)
    {
        var (random, scale) = (new Random(name.Length + fanIn + (seed * 1000)), Math.Sqrt(2.0 / fanIn));
        var tensor = new OnnxTensor { Name = name, DataType = Float, Dims = { shape } };
        for (long i = 0, count = shape.Aggregate(1L, (product, size) => product * size); i < count; i++) tensor.FloatData.Add((float)(((random.NextDouble() * 2) - 1) * scale));
        return tensor;
    }

    private static OnnxValue Value(string name, long[] row)
    {
        var shape = new OnnxShape { Dim = { new OnnxShape.Types.Dim { Symbol = "batch" } } };
        shape.Dim.Add(row.Select(size => new OnnxShape.Types.Dim { Fixed = size }));
        return new OnnxValue { Name = name, Type = new OnnxType { Tensor = new OnnxType.Types.Tensor { Element = Float, Shape = shape } } };
    }

    private static OnnxAttribute Whole(string name, long value) => new() { Name = name, I = value, Kind = OnnxAttribute.Types.Kind.Int };

    private static OnnxAttribute Ints(string name, IEnumerable<long> values) => new() { Name = name, Ints = { values }, Kind = OnnxAttribute.Types.Kind.Ints };

    private static OnnxAttribute Floats(string name, IEnumerable<float> values) => new() { Name = name, Floats = { values }, Kind = OnnxAttribute.Types.Kind.Floats };

    private static OnnxAttribute Texts(string name, IEnumerable<string> values) => new() { Name = name, Strings = { values.Select(ByteString.CopyFromUtf8) }, Kind = OnnxAttribute.Types.Kind.Strings };
}
