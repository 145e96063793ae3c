using Google.Protobuf;
using Platform.Registry.Onnx;
using Registry.Tests.Onnx;

namespace Registry.Tests.Intake;

public sealed class SizeTests
{
    [Fact]
    public void What_declares_more_than_there_is_is_refused_by_name()
    {
        Inspect(m => m.Graph.Initializer[0].Dims[0] = 1L << 40).ShouldBe(("onnx-bad-tensor", "bias"));
        Inspect(m => m.Graph.Initializer[0].Dims.Add([1L << 62, 1L << 62])).ShouldBe(("onnx-bad-tensor", "bias"));
        Inspect(m => m.Graph.Initializer[0].Dims[0] = -1).ShouldBe(("onnx-bad-tensor", "bias"));
        Inspect(m => m.Graph.Input[0] = SmallModel.Value("x", 1, 1 << 20, 1 << 20)).ShouldBe(("onnx-too-large", "x"));
        Inspect(m => m.Graph.Output[0] = SmallModel.Value("y", 1, -1, 1L << 62, 1L << 62)).ShouldBe(("onnx-too-large", "y"));
        Inspect(m => m.Graph.SparseInitializer.Add(new OnnxSparseTensor
        {
            Values = new OnnxTensor { Name = "sparse", DataType = 1, Dims = { 1 }, FloatData = { 1 } },
            Indices = new OnnxTensor { Name = "at", DataType = 7, Dims = { 1 }, Int64Data = { 0 } },
            Dims = { 1 << 30, 1 << 10 },
        })).ShouldBe(("onnx-too-large", "sparse"));
    }

    [Fact]
    public void An_operator_that_does_not_exist_is_named()
    {
        var refusal = OnnxInspector.Inspect(SmallModel.With(m => m.Graph.Node[1].OpType = "NoSuchOperator").ToByteArray()).Refusal!;
        refusal.Code.ShouldBe("onnx-does-not-load");
        refusal.Detail.ShouldContain("NoSuchOperator");
    }

    [Fact]
    public void Data_beside_the_model_is_put_into_it_when_it_came_along_and_refused_when_it_points_elsewhere()
    {
        var file = External("weights.bin", offset: "4", length: "4");
        byte[] data = [9, 9, 9, 9, .. BitConverter.GetBytes(5f)];
        var whole = ExternalData.Inline(file, [new("weights.bin", data)]).Value;
        OnnxInspector.Inspect(whole).IsOk.ShouldBeTrue();
        OnnxModel.Parser.ParseFrom(whole).Graph.Initializer[0].ExternalData.ShouldBeEmpty();

        foreach (var path in new[] { "../weights.bin", "/etc/passwd", "%2e%2e/weights.bin", "a/%252e%252e/b", "C:\\weights.bin", "..\\weights.bin", "file:///etc/passwd" })
        {
            var refusal = ExternalData.Inline(External(path), [new("weights.bin", data), new(path, data)]).Refusal!;
            refusal.Code.ShouldBe("onnx-external-data", path);
            OnnxInspector.Inspect(External(path)).Refusal!.Code.ShouldBe("onnx-external-data", path);
        }

        ExternalData.Inline(External("other.bin"), [new("weights.bin", data)]).Refusal!.Detail.ShouldContain("not in the folder");
        ExternalData.Inline(External("weights.bin", offset: "6", length: "4"), [new("weights.bin", data)]).Refusal!.Detail.ShouldContain("beyond the end");
        ExternalData.Inline(External("weights.bin", offset: "-1"), [new("weights.bin", data)]).Refusal!.Detail.ShouldContain("beyond the end");
        ExternalData.Inline(External("weights.bin", offset: "9223372036854775807", length: "9223372036854775807"), [new("weights.bin", data)]).Refusal!.Detail.ShouldContain("beyond the end");
    }

    internal static byte[] External(string path, string? offset = null, string? length = null) => SmallModel.With(m =>
    {
        var tensor = m.Graph.Initializer[0];
        tensor.FloatData.Clear();
        tensor.Location = OnnxTensor.Types.Location.External;
        tensor.ExternalData.Add(new OnnxPair { Key = "location", Value = path });
        if (offset is not null) tensor.ExternalData.Add(new OnnxPair { Key = "offset", Value = offset });
        if (length is not null) tensor.ExternalData.Add(new OnnxPair { Key = "length", Value = length });
    }).ToByteArray();

    private static (string, string) Inspect(Action<OnnxModel> change)
    {
        var refusal = OnnxInspector.Inspect(SmallModel.With(change).ToByteArray()).Refusal!;
        return (refusal.Code, refusal.Detail.Split('\'')[1]);
    }
}
