using System.Formats.Tar;
using System.IO.Compression;
using CsCheck;
using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;
using Platform.Kernel;
using Platform.Registry.Contracts;
using Platform.Registry.Onnx;
using Platform.Testing;

namespace Registry.Tests.Onnx;

public sealed class OnnxInspectorTests
{
    [Fact]
    public void A_sound_file_shows_its_signature_its_columns_and_what_is_inside()
    {
        var inspected = OnnxInspector.Inspect(SmallModel.Make().ToByteArray()).Value;
        inspected.Signature.Inputs.Single().ShouldSatisfyAllConditions(x => x.Name.ShouldBe("x"), x => x.Datatype.ShouldBe("FP32"), x => x.Shape.ShouldBe([-1, 1]));
        inspected.Signature.Outputs.Single().Name.ShouldBe("y");
        inspected.PredictionOutput.ShouldBe("y");
        inspected.Columns.Single().ShouldSatisfyAllConditions(c => c.Name.ShouldBe("x"), c => c.Kind.ShouldBe(ColumnKind.Number));
        inspected.Facts.Nodes.ShouldBe(2);
        inspected.Facts.Operators.ShouldBe(new Dictionary<string, int> { ["Add"] = 1, ["Relu"] = 1 });
        inspected.Facts.Opsets.ShouldBe(new Dictionary<string, long> { ["ai.onnx"] = 17 });
        inspected.Facts.Producer.ShouldBe("tests");
    }

    [Theory]
    [InlineData(1, 1, ColumnKind.Number)]
    [InlineData(11, 1, ColumnKind.Number)]
    [InlineData(7, 1, ColumnKind.Number)]
    [InlineData(9, 1, ColumnKind.Boolean)]
    [InlineData(8, 1, ColumnKind.Category)]
    [InlineData(6, 1, null)]
    [InlineData(1, 4, null)]
    public void Inputs_of_one_column_each_can_be_asked_by_name(int element, long width, ColumnKind? kind)
    {
        var model = SmallModel.With(m =>
        {
            m.Graph.Input[0] = SmallModel.Value("x", element, -1, width);
            m.Graph.Output[0] = SmallModel.Value("y", element, -1, width);
            m.Graph.Node.Clear();
            m.Graph.Node.Add(SmallModel.Node("Identity", ["x"], "y"));
        });
        OnnxInspector.Inspect(model.ToByteArray()).Value.Columns.Select(c => (ColumnKind?)c.Kind).ShouldBe(kind is null ? [] : [kind]);
    }

    [Fact]
    public void With_several_outputs_the_one_called_prediction_is_the_prediction()
    {
        byte[] WithSecondOutput(string name) => SmallModel.With(m =>
        {
            m.Graph.Node.Add(SmallModel.Node("Neg", ["sum"], name));
            m.Graph.Output.Add(SmallModel.Value(name, 1, -1, 1));
        }).ToByteArray();

        OnnxInspector.Inspect(WithSecondOutput("prediction")).Value.PredictionOutput.ShouldBe("prediction");
        OnnxInspector.Inspect(WithSecondOutput("other")).Value.PredictionOutput.ShouldBeNull();
    }

    [Fact]
    public void An_output_without_a_shape_gets_the_one_the_runtime_infers()
    {
        var model = SmallModel.With(m => m.Graph.Output[0].Type.Tensor.Shape = null);
        OnnxInspector.Inspect(model.ToByteArray()).Value.Signature.Outputs.Single().Shape.ShouldBe([-1, 1]);
    }

    [Fact]
    public void A_file_that_is_not_ONNX_is_refused()
    {
        Code([]).ShouldBe("onnx-no-graph");
        Code("id,price\n1,2\n"u8.ToArray()).ShouldBe("not-onnx");
        Code([0x80, 0x04, 0x95]).ShouldBe("not-onnx");
        Code(new OnnxModel { IrVersion = 8 }.ToByteArray()).ShouldBe("onnx-no-graph");
    }

    [Fact]
    public void A_truncated_file_is_refused_wherever_it_was_cut()
    {
        var file = SmallModel.Make().ToByteArray();
        for (int length = 0; length < file.Length; length++)
            OnnxInspector.Inspect(file[..length]).Refusal.ShouldNotBeNull($"cut to {length} of {file.Length} bytes").Field.ShouldBe("file");
    }

    [Fact]
    public void Versions_beyond_the_runtimes_are_refused_and_the_limits_are_the_runtimes_own()
    {
        Code(m => m.IrVersion = OnnxLimits.MaxIrVersion + 1).ShouldBe("onnx-unknown-version");
        Code(m => m.IrVersion = 0).ShouldBe("onnx-unknown-version");
        Code(m => m.OpsetImport[0].Version = 99).ShouldBe("onnx-unknown-opset");
        Code(m => m.OpsetImport[0].Version = 3).ShouldBe("onnx-unknown-opset");
        Code(m => m.OpsetImport.Add(new OnnxOpset { Domain = "ai.onnx.ml", Version = 6 })).ShouldBe("onnx-unknown-opset");
        Code(m => m.OpsetImport.Clear()).ShouldBe("onnx-unknown-opset");

        Loads(m => m.IrVersion = OnnxLimits.MaxIrVersion).ShouldBeTrue();
        Loads(m => m.IrVersion = OnnxLimits.MaxIrVersion + 1).ShouldBeFalse();
        Loads(m => m.OpsetImport[0].Version = OnnxLimits.MaxOpset).ShouldBeTrue();
        Loads(m => m.OpsetImport[0].Version = OnnxLimits.MaxOpset + 1).ShouldBeFalse();
        Loads(m => m.OpsetImport.Add(new OnnxOpset { Domain = "ai.onnx.ml", Version = OnnxLimits.MaxMlOpset })).ShouldBeTrue();
        Loads(m => m.OpsetImport.Add(new OnnxOpset { Domain = "ai.onnx.ml", Version = OnnxLimits.MaxMlOpset + 1 })).ShouldBeFalse();

        static bool Loads(Action<OnnxModel> change)
        {
            try
            {
                using var session = OnnxSession.Open(SmallModel.With(change).ToByteArray());
                return true;
            }
            catch (OnnxRuntimeException)
            {
                return false;
            }
        }
    }

    [Fact]
    public void A_custom_operator_is_refused_by_its_name_and_domain_also_inside_a_branch_or_a_function()
    {
        var refusal = Refused(m => m.Graph.Node[1] = SmallModel.Node("Magic", ["sum"], "y", "com.example"));
        refusal.Code.ShouldBe("onnx-custom-operator");
        refusal.Detail.ShouldContain("'Magic'");
        refusal.Detail.ShouldContain("'com.example'");

        Code(m => m.Graph.Node.Add(If(SmallModel.Node("Magic", ["sum"], "b", "com.example")))).ShouldBe("onnx-custom-operator");
        Code(m => m.Functions.Add(new OnnxFunction { Domain = "own", Name = "F", Node = { SmallModel.Node("Magic", ["a"], "b", "com.example") } })).ShouldBe("onnx-custom-operator");
    }

    [Theory]
    [InlineData("weights.bin", "in 'weights.bin'")]
    [InlineData("../../etc/passwd", "climbs out")]
    [InlineData("/etc/passwd", "absolute path")]
    [InlineData("C:\\secret", "absolute path")]
    public void Data_outside_the_file_is_refused_and_its_path_is_named(string path, string says)
    {
        var outside = new OnnxTensor
        {
            Name = "w",
            DataType = 1,
            Dims = { 1 },
            Location = OnnxTensor.Types.Location.External,
            ExternalData = { new OnnxPair { Key = "location", Value = path } },
        };
        var refusal = Refused(m => m.Graph.Initializer.Add(outside));
        refusal.Code.ShouldBe("onnx-external-data");
        refusal.Detail.ShouldContain(says);
        refusal.Mend.ShouldNotBeNull().ShouldContain("one file");

        Code(m => m.Graph.Node[0].Attribute.Add(new OnnxAttribute { Name = "value", T = outside })).ShouldBe("onnx-external-data");
        Code(m => m.Graph.Node[0].Attribute.Add(new OnnxAttribute { Name = "values", Tensors = { outside } })).ShouldBe("onnx-external-data");
        Code(m => m.Graph.SparseInitializer.Add(new OnnxSparseTensor { Values = outside })).ShouldBe("onnx-external-data");
        Code(m => m.Graph.Node.Add(new OnnxNode
        {
            OpType = "If",
            Input = { "x" },
            Output = { "z" },
            Attribute = { new OnnxAttribute { Name = "then_branch", G = new OnnxGraph { Initializer = { outside } } } },
        })).ShouldBe("onnx-external-data");
    }

    [Fact]
    public void Inputs_and_outputs_that_are_not_plain_tensors_are_refused()
    {
        var sequence = Refused(m => m.Graph.Output[0].Type = new OnnxType { Sequence = new() });
        sequence.Code.ShouldBe("onnx-not-a-tensor");
        sequence.Detail.ShouldContain("a sequence");
        sequence.Mend.ShouldNotBeNull().ShouldContain("zipmap=False");
        Code(m => m.Graph.Input[0].Type = new OnnxType { Map = new() }).ShouldBe("onnx-not-a-tensor");
        Code(m => m.Graph.Input[0].Type = new OnnxType { Optional = new() }).ShouldBe("onnx-not-a-tensor");
        Code(m => m.Graph.Input[0].Type = null).ShouldBe("onnx-not-a-tensor");
        Code(m => m.Graph.Input[0].Type.Tensor.Element = 14).ShouldBe("onnx-unsupported-datatype");
        Code(m => m.Graph.Input[0].Type.Tensor.Shape = null).ShouldBe("onnx-no-shape");
    }

    [Fact]
    public void Names_used_twice_and_files_too_deep_or_too_large_are_refused()
    {
        Code(m => m.Graph.Input.Add(SmallModel.Value("x", 1, -1, 1))).ShouldBe("onnx-duplicate-name");
        Code(m => m.Graph.Output.Add(SmallModel.Value("y", 1, -1, 1))).ShouldBe("onnx-duplicate-name");
        Code(m => m.Graph.Node.Add(SmallModel.Node("Neg", ["x"], "sum"))).ShouldBe("onnx-duplicate-name");
        Code(m => m.Graph.Input[0].Name = new string('n', 600)).ShouldBe("onnx-bad-name");
        Code(m => m.Graph.Node.Add(Nested(12))).ShouldBe("onnx-too-deep");
        Code(m => m.Graph.Node.Add(Nested(200))).ShouldBe("not-onnx");
        Code(m => m.Graph.Input.Add(Enumerable.Range(0, OnnxLimits.MaxInputs).Select(i => SmallModel.Value("i" + i, 1, 1)))).ShouldBe("onnx-too-large");
        Code(m => m.Graph.Node.Add(Enumerable.Range(0, OnnxLimits.MaxNodes).Select(i => SmallModel.Node("Neg", ["x"], "n" + i)))).ShouldBe("onnx-too-large");

        static OnnxNode Nested(int depth) => depth == 0 ? SmallModel.Node("Neg", ["x"], "n") : If(Nested(depth - 1));
    }

    [Fact]
    public void What_the_runtime_cannot_load_is_refused_without_its_own_text()
    {
        foreach (var refusal in new[]
        {
            Refused(m => m.Graph.Node[1].OpType = "NoSuchOperator"),
            Refused(m => m.Graph.Node[1].Input[0] = "nowhere"),
            Refused(m => m.Graph.Output[0].Type.Tensor.Element = 7),
            Refused(m => m.Graph.Initializer[0].Dims[0] = 2),
        })
        {
            refusal.Code.ShouldBe("onnx-does-not-load");
            (refusal.Detail + refusal.Mend).ShouldNotContain("onnxruntime_src");
            (refusal.Detail + refusal.Mend).ShouldNotContain("ErrorCode");
        }
    }

    [Fact]
    public void Whatever_bytes_are_changed_the_answer_is_a_model_or_a_refusal()
    {
        var file = SmallModel.Make().ToByteArray();
        Gen.Select(Gen.Int[0, file.Length - 1], Gen.Byte).Array[1, 4].Sample(changes =>
        {
            byte[] broken = [.. file];
            foreach (var (at, value) in changes) broken[at] = value;
            var result = OnnxInspector.Inspect(broken);
            if (!result.IsOk) result.Refusal!.Field.ShouldBe("file");
        }, iter: 3_000);
    }

    [SharedDataFact("conformance/models/simple.onnx")]
    public void Real_models_show_the_signature_the_runtime_sees()
    {
        foreach (var path in Directory.GetFiles(SharedData.PathOf("conformance/models"), "*.onnx")) SeesWhatTheRuntimeSees(path, File.ReadAllBytes(path)).ShouldBeTrue(path);
    }

    [SharedDataFact("conformance/onnx-node-tests.tar.gz")]
    public void Every_operator_test_model_is_read_as_the_runtime_reads_it_or_refused_with_a_reason()
    {
        int read = 0, refused = 0;
        using var archive = new TarReader(new GZipStream(File.OpenRead(SharedData.PathOf("conformance/onnx-node-tests.tar.gz")), CompressionMode.Decompress));
        while (archive.GetNextEntry() is { } entry)
        {
            if (!entry.Name.EndsWith("model.onnx", StringComparison.Ordinal)) continue;
            var content = new MemoryStream();
            entry.DataStream!.CopyTo(content);
            if (SeesWhatTheRuntimeSees(entry.Name, content.ToArray())) read++;
            else refused++;
        }

        (read + refused).ShouldBeGreaterThan(300);
        read.ShouldBeGreaterThan(refused * 9);
    }

    private static bool SeesWhatTheRuntimeSees(string name, byte[] file)
    {
        var result = OnnxInspector.Inspect(file);
        if (result.Refusal is { } refusal)
        {
            refusal.Mend.ShouldNotBeNull(name);
            return false;
        }

        using var session = OnnxSession.Open(file);
        result.Value.Signature.Inputs.Select(i => i.Name).ShouldBe(session.InputNames, name);
        result.Value.Signature.Outputs.Select(o => o.Name).ShouldBe(session.OutputNames, name);
        foreach (var input in result.Value.Signature.Inputs)
            input.Shape.ShouldBe(session.InputMetadata[input.Name].Dimensions.Select(d => (long)d), name);
        return true;
    }

    private static OnnxNode If(OnnxNode inside) => new()
    {
        OpType = "If",
        Input = { "x" },
        Output = { "z" },
        Attribute = { new OnnxAttribute { Name = "then_branch", Kind = OnnxAttribute.Types.Kind.Graph, G = new OnnxGraph { Node = { inside } } } },
    };

    private static string Code(byte[] file) => OnnxInspector.Inspect(file).Refusal.ShouldNotBeNull().Code;

    private static string Code(Action<OnnxModel> change) => Refused(change).Code;

    private static Refusal Refused(Action<OnnxModel> change)
    {
        var refusal = OnnxInspector.Inspect(SmallModel.With(change).ToByteArray()).Refusal.ShouldNotBeNull();
        refusal.Field.ShouldBe("file");
        refusal.Mend.ShouldNotBeNull();
        return refusal;
    }
}
