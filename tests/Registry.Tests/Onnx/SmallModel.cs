using Platform.Registry.Onnx;

namespace Registry.Tests.Onnx;

/// <summary>A small valid model, y = Relu(x + bias), for tests to break in one place each.</summary>
internal static class SmallModel
{
    public static OnnxModel Make()
    {
        var bias = new OnnxTensor { Name = "bias", DataType = 1, Dims = { 1 }, FloatData = { 1f } };
        return new OnnxModel
        {
            IrVersion = 8,
            ProducerName = "tests",
            OpsetImport = { new OnnxOpset { Domain = "", Version = 17 } },
            Graph = new OnnxGraph
            {
                Name = "g",
                Initializer = { bias },
                Input = { Value("x", 1, -1, 1) },
                Output = { Value("y", 1, -1, 1) },
                Node = { Node("Add", ["x", "bias"], "sum"), Node("Relu", ["sum"], "y") },
            },
        };
    }

    public static OnnxModel With(Action<OnnxModel> change)
    {
        var model = Make();
        change(model);
        return model;
    }

    public static OnnxNode Node(string op, string[] inputs, string output, string domain = "") =>
        new() { OpType = op, Domain = domain, Input = { inputs }, Output = { output } };

    /// <summary>A dimension of -1 is written as a symbol, as exporters write the batch.</summary>
    public static OnnxValue Value(string name, int element, params long[] dims) => new()
    {
        Name = name,
        Type = new OnnxType
        {
            Tensor = new OnnxType.Types.Tensor
            {
                Element = element,
                Shape = new OnnxShape { Dim = { dims.Select(d => d < 0 ? new OnnxShape.Types.Dim { Symbol = "N" } : new OnnxShape.Types.Dim { Fixed = d }) } },
            },
        },
    };
}
