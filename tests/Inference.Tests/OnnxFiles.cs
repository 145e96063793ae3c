using System.Text;

namespace Inference.Tests;

/// <summary>Small ONNX files, written by hand (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto for the field numbers), so that tests need no file and no other module.</summary>
internal static class OnnxFiles
{
    public const int Float = 1, Int8 = 3, Int64 = 7, Text = 8;

    /// <summary>y = x₁·w₁ + … + xₙ·wₙ + b over columns of shape [-1, 1].</summary>
    public static byte[] Linear(float bias, params (string Column, float Weight)[] columns)
    {
        var names = columns.Select(column => column.Column).ToArray();
        return Model(
            [Node("Concat", names, [".x"], Attribute("axis", 1)), Node("MatMul", [".x", ".w"], [".m"]), Node("Add", [".m", ".b"], ["y"])],
            [Tensor(".w", [columns.Length, 1], columns.Select(column => column.Weight)), Tensor(".b", [1], [bias])],
            [.. names.Select(name => Value(name, Float, -1, 1))],
            [Value("y", Float, -1, 1)]);
    }

    /// <summary>price = size·2 + 100 when city is "north", 200 when "south", else 0: a number, a category and a date.</summary>
    public static byte[] Houses() => Model(
        [
            Node("LabelEncoder", ["city"], ["place"], "ai.onnx.ml", Attribute("keys_strings", ["north", "south"]), Attribute("values_floats", [100f, 200f]), Attribute("default_float", 0f)),
            Node("Mul", ["size", "two"], ["doubled"]),
            Node("Add", ["doubled", "place"], ["partial"]),
            Node("Mul", ["sold", "none"], ["nothing"]),
            Node("Add", ["partial", "nothing"], ["price"]),
        ],
        [Tensor("two", [1], [2f]), Tensor("none", [1], [0f])],
        [Value("size", Float, -1, 1), Value("city", Text, -1, 1), Value("sold", Float, -1, 1)],
        [Value("price", Float, -1, 1)]);

    /// <summary>y = x / x: NaN where x is 0.</summary>
    public static byte[] ByItself() => Model([Node("Div", ["x", "x"], ["y"])], [], [Value("x", Float, -1, 1)], [Value("y", Float, -1, 1)]);

    /// <summary>A multi-layer perceptron over one input of shape [-1, sizes[0]], with weights that vary.</summary>
    public static byte[] Perceptron(params int[] sizes)
    {
        var random = new Random(7);
        List<byte[]> nodes = [], weights = [];
        for (var layer = 1; layer < sizes.Length; layer++)
        {
            var (from, to, last) = (layer == 1 ? "x" : $"h{layer - 1}", layer == sizes.Length - 1 ? "y" : $"h{layer}", layer == sizes.Length - 1);
            var scale = MathF.Sqrt(2f / sizes[layer - 1]);
            weights.Add(Tensor($"w{layer}", [sizes[layer - 1], sizes[layer]], Enumerable.Range(0, sizes[layer - 1] * sizes[layer]).Select(_ => (random.NextSingle() - 0.5f) * 2 * scale)));
            weights.Add(Tensor($"b{layer}", [sizes[layer]], Enumerable.Range(0, sizes[layer]).Select(_ => random.NextSingle() - 0.5f)));
            nodes.Add(Node("Gemm", [from, $"w{layer}", $"b{layer}"], [last ? to : $"g{layer}"]));
            if (!last) nodes.Add(Node("Relu", [$"g{layer}"], [to]));
        }
        return Model([.. nodes], [.. weights], [Value("x", Float, -1, sizes[0])], [Value("y", Float, -1, sizes[^1])]);
    }

    /// <summary>A row's answer depends on the other rows of its batch: x minus the mean over the batch.</summary>
    public static byte[] BatchCentred() => Model(
        [Node("ReduceMean", ["x"], ["mean"], Attribute("axes", [0L]), Attribute("keepdims", 1)), Node("Sub", ["x", "mean"], ["y"])], [],
        [Value("x", Float, -1, 3)], [Value("y", Float, -1, 3)]);

    /// <summary>y = [10, 20][x]: fails on any other place.</summary>
    public static byte[] Picks() => Model([Node("Gather", ["table", "x"], ["y"])], [Tensor("table", [2], [10f, 20f])], [Value("x", Int64, -1)], [Value("y", Float, -1)]);

    /// <summary>One tensor in, the same out.</summary>
    public static byte[] Identity(int type, params long[] shape) => Model([Node("Identity", ["x"], ["y"])], [], [Value("x", type, shape)], [Value("y", type, shape)]);

    /// <summary>Two inputs, their sum and difference.</summary>
    public static byte[] SumAndDifference() => Model(
        [Node("Add", ["a", "b"], ["sum"]), Node("Sub", ["a", "b"], ["difference"])], [],
        [Value("a", Float, -1, 3), Value("b", Float, -1, 3)], [Value("sum", Float, -1, 3), Value("difference", Float, -1, 3)]);

    /// <summary>The indices of what is not zero: an output whose shape depends on the values, though its declared shape looks like a batch.</summary>
    public static byte[] Positive() => Model(
        [Node("Greater", ["x", "limit"], ["is"]), Node("Compress", ["x", "is"], ["y"], Attribute("axis", 0))],
        [Tensor("limit", [1], [-1f])], [Value("x", Float, -1)], [Value("y", Float, -1)]);

    /// <summary>Adds 1 as often as the input says: a run that takes as long as one likes.</summary>
    public static byte[] Slow()
    {
        var body = Graph(
            [Node("Identity", ["go"], ["still"]), Node("Add", ["sum", "one"], ["more"])],
            [Tensor("one", [1], [1f])],
            [Value("i", Int64), Value("go", 9), Value("sum", Float, 1)],
            [Value("still", 9), Value("more", Float, 1)]);
        return Model(
            [Node("Squeeze", ["times", "axis"], ["n"]), Node("Loop", ["n", "yes", "zero"], ["y"], Attribute("body", body))],
            [Tensor("zero", [1], [0f]), Scalar("yes", true), Whole("axis", [1], [0L])],
            [Value("times", Int64, 1)],
            [Value("y", Float, 1)]);
    }

    /// <summary>Makes a tensor of as many zeros as the input says, only to add them up: a run that takes as much memory as one likes.</summary>
    public static byte[] Hungry() => Model(
        [Node("ConstantOfShape", ["count"], ["zeros"]), Node("ReduceSum", ["zeros", "axis"], ["y"])],
        [Whole("axis", [1], [0L])], [Value("count", Int64, 1)], [Value("y", Float, 1)]);

    /// <summary>Gives as many zeros as the input says.</summary>
    public static byte[] Talkative() => Model([Node("ConstantOfShape", ["count"], ["y"])], [], [Value("count", Int64, 1)], [Value("y", Float, -1)]);

    /// <summary>Refers to operators that nobody has.</summary>
    public static byte[] CustomOperator() => Model([Node("Conjure", ["x"], ["y"], "com.example")], [], [Value("x", Float, -1, 1)], [Value("y", Float, -1, 1)]);

    /// <summary>Gives a sequence (4), a map (5) or an optional value (9) of floats, by TypeProto's field number.</summary>
    public static byte[] NotATensor(int kind)
    {
        byte[] tensor = Bytes(1, Number(1, Float));
        byte[] type = Bytes(kind, kind == 5 ? [.. Number(1, Int64), .. Bytes(2, tensor)] : Bytes(1, tensor));
        return Model([Node("Conjure", ["x"], ["y"])], [], [Value("x", Float, -1)], [[.. Bytes(1, "y"), .. Bytes(2, type)]]);
    }

    /// <summary>Says that it needs operators of a generation that is not out yet.</summary>
    public static byte[] UnknownOpset() => Model([Node("Identity", ["x"], ["y"])], [], [Value("x", Float, -1, 1)], [Value("y", Float, -1, 1)], opset: 99);

    /// <summary>Keeps its weight in another file.</summary>
    public static byte[] OutsideData(string location) => Model(
        [Node("Add", ["x", "w"], ["y"])],
        [[.. Number(1, 1), .. Number(2, Float), .. Bytes(8, "w"), .. Bytes(13, [.. Bytes(1, "location"), .. Bytes(2, location)]), .. Number(14, 1)]],
        [Value("x", Float, -1, 1)], [Value("y", Float, -1, 1)]);

    private static byte[] Model(byte[][] nodes, byte[][] initializers, byte[][] inputs, byte[][] outputs, long opset = 17) =>
    [
        .. Number(1, 8), .. Bytes(8, [.. Bytes(1, ""), .. Number(2, opset)]), .. Bytes(8, [.. Bytes(1, "ai.onnx.ml"), .. Number(2, 3)]),
        .. Bytes(8, [.. Bytes(1, "com.example"), .. Number(2, 1)]),
        .. Bytes(7, Graph(nodes, initializers, inputs, outputs)),
    ];

    private static byte[] Graph(byte[][] nodes, byte[][] initializers, byte[][] inputs, byte[][] outputs) =>
    [
        .. nodes.SelectMany(node => Bytes(1, node)), .. Bytes(2, "g"), .. initializers.SelectMany(tensor => Bytes(5, tensor)),
        .. inputs.SelectMany(input => Bytes(11, input)), .. outputs.SelectMany(output => Bytes(12, output)),
    ];

    private static byte[] Node(string type, string[] inputs, string[] outputs, params byte[][] attributes) => Node(type, inputs, outputs, "", attributes);

    private static byte[] Node(string type, string[] inputs, string[] outputs, string domain, params byte[][] attributes) =>
    [
        .. inputs.SelectMany(input => Bytes(1, input)), .. outputs.SelectMany(output => Bytes(2, output)), .. Bytes(4, type),
        .. attributes.SelectMany(attribute => Bytes(5, attribute)), .. Bytes(7, domain),
    ];

    private static byte[] Attribute(string name, long value) => [.. Bytes(1, name), .. Number(3, value), .. Number(20, 2)];

    private static byte[] Attribute(string name, float value) => [.. Bytes(1, name), .. Fixed(2, value), .. Number(20, 1)];

    private static byte[] Attribute(string name, byte[] graph) => [.. Bytes(1, name), .. Bytes(6, graph), .. Number(20, 5)];

    private static byte[] Attribute(string name, string[] values) => [.. Bytes(1, name), .. values.SelectMany(value => Bytes(9, value)), .. Number(20, 8)];

    private static byte[] Attribute(string name, long[] values) => [.. Bytes(1, name), .. values.SelectMany(value => Number(8, value)), .. Number(20, 7)];

    private static byte[] Attribute(string name, float[] values) => [.. Bytes(1, name), .. values.SelectMany(value => Fixed(7, value)), .. Number(20, 6)];

    private static byte[] Tensor(string name, long[] shape, IEnumerable<float> values) =>
        [.. shape.SelectMany(size => Number(1, size)), .. Number(2, Float), .. Bytes(8, name), .. Bytes(9, [.. values.SelectMany(BitConverter.GetBytes)])];

    private static byte[] Whole(string name, long[] shape, IEnumerable<long> values) =>
        [.. shape.SelectMany(size => Number(1, size)), .. Number(2, Int64), .. Bytes(8, name), .. Bytes(9, [.. values.SelectMany(BitConverter.GetBytes)])];

    private static byte[] Scalar(string name, bool value) => [.. Number(2, 9), .. Bytes(8, name), .. Bytes(9, [value ? (byte)1 : (byte)0])];

    private static byte[] Value(string name, int type, params long[] shape) =>
    [
        .. Bytes(1, name),
        .. Bytes(2, Bytes(1, [.. Number(1, type), .. Bytes(2, [.. shape.SelectMany((size, i) => Bytes(1, size < 0 ? Bytes(2, i == 0 ? "N" : $"d{i}") : Number(1, size)))])])),
    ];

    private static byte[] Number(int field, long value) => [.. Varint((ulong)field << 3), .. Varint((ulong)value)];

    private static byte[] Fixed(int field, float value) => [.. Varint(((ulong)field << 3) | 5), .. BitConverter.GetBytes(value)];

    private static byte[] Bytes(int field, string value) => Bytes(field, Encoding.UTF8.GetBytes(value));

    private static byte[] Bytes(int field, byte[] value) => [.. Varint(((ulong)field << 3) | 2), .. Varint((ulong)value.Length), .. value];

    private static IEnumerable<byte> Varint(ulong value)
    {
        do
        {
            yield return (byte)(value > 127 ? (value & 127) | 128 : value);
            value >>= 7;
        }
        while (value > 0);
    }
}
