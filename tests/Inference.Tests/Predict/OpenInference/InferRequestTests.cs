using System.Text;
using CsCheck;
using Platform.Inference.Predict;
using Platform.Inference.Predict.OpenInference;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Inference.Tests.Predict.OpenInference;

public sealed class InferRequestTests
{
    private static readonly ServingPlan Sums = Plans.Of(OnnxFiles.SumAndDifference());

    [Theory]
    [InlineData("""{"inputs": [{"name": "a", "shape": [2,3], "datatype": "FP32", "data": [1,2,3,4,5,6]}, {"name": "b", "shape": [2,3], "datatype": "FP32", "data": [0,0,0,0,0,0]}]}""")]
    [InlineData("""{"inputs": [{"data": [[1,2,3],[4,5,6]], "datatype": "FP32", "shape": [2,3], "name": "a"}, {"shape": [2,3], "data": [[0,0,0],[0,0,0]], "name": "b", "datatype": "FP32"}], "model_name": "x", "parameters": {"content_type": "np", "nested": {"a": [1]}}}""")]
    [InlineData("""{"outputs": [{"name": "sum", "parameters": {"binary_data": false}}], "id": "i", "inputs": [{"name": "b", "shape": [2,3], "datatype": "FP32", "parameters": {"p": 1}, "data": [[[0],[0],[0]],[0,0,0]]}, {"name": "a", "shape": [2,3], "datatype": "FP32", "data": [1,2,3,4,5,6]}]}""")]
    public void Members_come_in_any_order_and_data_nested_in_any_way(string body)
    {
        using var work = Read(Sums, body, out var refusal);
        refusal.ShouldBeNull();
        work.Tensors.Inputs[0].Values<float>().ToArray().ShouldBe([1f, 2, 3, 4, 5, 6]);
        work.Tensors.Inputs[0].Shape.ShouldBe([2L, 3]);
        work.Units.ShouldBe(2);
    }

    [Fact]
    public void Outputs_can_be_chosen_and_the_id_is_kept()
    {
        using var work = Read(Sums, Body("""[1,3]""", "[1,2,3]", """, "outputs": [{"name": "difference"}], "id": "my id" """), out var refusal);
        refusal.ShouldBeNull();
        work.Wanted.ShouldBe([1]);
        work.RequestId.ShouldBe("my id");
    }

    [Theory]
    [InlineData("[1.5, NaN, -Infinity]")]
    [InlineData("""[1.5, "NaN", "-Infinity"]""")]
    public void Bare_and_quoted_nan_are_understood(string data)
    {
        using var work = Read(Sums, Body("[1,3]", data, """, "id": "NaN and \" Infinity" """), out var refusal);
        refusal.ShouldBeNull();
        work.Tensors.Inputs[0].Values<float>().ToArray().ShouldBe([1.5f, float.NaN, float.NegativeInfinity]);
        work.RequestId.ShouldBe("NaN and \" Infinity");
    }

    [Theory]
    [InlineData("[1,3]", "[1,2]", "wrong-count")]
    [InlineData("[1,3]", "[1,2,3,4]", "wrong-count")]
    [InlineData("[1,3]", "[]", "wrong-count")]
    [InlineData("[2,2]", "[1,2,3,4]", "wrong-shape")]
    [InlineData("[3]", "[1,2,3]", "wrong-shape")]
    [InlineData("[-1,3]", "[1,2,3]", "bad-shape")]
    [InlineData("[1.5,3]", "[1,2,3]", "bad-shape")]
    [InlineData("[4611686018427387904,3]", "[1,2,3]", "wrong-count")]
    [InlineData("[9223372036854775808,3]", "[1,2,3]", "bad-shape")]
    [InlineData("[1,3]", "[1,2,\"x\"]", "wrong-element")]
    [InlineData("[1,3]", "[1,2,true]", "wrong-element")]
    [InlineData("[1,3]", "[1,2,1e400]", "wrong-element")]
    [InlineData("[1,3]", "[1,2,{}]", "wrong-element")]
    [InlineData("[1,3]", "[1,2,null]", "wrong-element")]
    public void A_tensor_that_does_not_fit_is_refused_by_name(string shape, string data, string code)
    {
        using var _ = Read(Sums, Body(shape, data), out var refusal);
        refusal.ShouldNotBeNull().Code.ShouldBe(code);
        (refusal.Field + refusal.Detail).ShouldContain("a");
    }

    [Theory]
    [InlineData("""{"inputs": []}""", "missing-input")]
    [InlineData("""{}""", "missing-input")]
    [InlineData("""{"inputs": {}}""", "wrong-type")]
    [InlineData("""{"inputs": [{"name": "c", "shape": [1,3], "datatype": "FP32", "data": [1,2,3]}]}""", "unknown-input")]
    [InlineData("""{"inputs": [{"name": "a", "shape": [1,3], "datatype": "FP64", "data": [1,2,3]}]}""", "wrong-datatype")]
    [InlineData("""{"inputs": [{"name": "a", "shape": [1,3], "datatype": "FP32"}]}""", "missing-member")]
    [InlineData("""{"inputs": [{"shape": [1,3], "datatype": "FP32", "data": []}]}""", "missing-member")]
    [InlineData("""{"inputs": [{"name": "a", "shape": [1,3], "datatype": "FP32", "data": [1,2,3]}, {"name": "a", "shape": [1,3], "datatype": "FP32", "data": [1,2,3]}]}""", "duplicate-input")]
    [InlineData("""{"id": 7}""", "wrong-type")]
    [InlineData("""{"outputs": [{"name": "total"}]}""", "unknown-output")]
    [InlineData("""{"inputs": """, "malformed-json")]
    [InlineData("""nothing""", "malformed-json")]
    [InlineData("""{"inputs": [NaN""", "wrong-type")]
    public void A_request_that_makes_no_sense_is_refused(string body, string code)
    {
        using var _ = Read(Sums, body, out var refusal);
        refusal.ShouldNotBeNull().Code.ShouldBe(code);
    }

    [Theory]
    [InlineData(9, "BOOL", "[true,false,1]", new byte[] { 1, 0, 1 })]
    [InlineData(2, "UINT8", "[0,255,7.0]", new byte[] { 0, 255, 7 })]
    [InlineData(3, "INT8", "[-128,127,0]", new byte[] { 0x80, 0x7F, 0 })]
    [InlineData(4, "UINT16", "[1,2,65535]", new byte[] { 1, 0, 2, 0, 255, 255 })]
    [InlineData(5, "INT16", "[-1,2,3]", new byte[] { 255, 255, 2, 0, 3, 0 })]
    [InlineData(6, "INT32", "[-1,0,1]", new byte[] { 255, 255, 255, 255, 0, 0, 0, 0, 1, 0, 0, 0 })]
    [InlineData(10, "FP16", "[1,0,-2]", new byte[] { 0, 0x3C, 0, 0, 0, 0xC0 })]
    [InlineData(16, "BF16", "[1,0,-2]", new byte[] { 0x80, 0x3F, 0, 0, 0, 0xC0 })]
    public void Every_datatype_is_read_to_its_bits(int onnxType, string datatype, string data, byte[] bits)
    {
        var plan = Plans.Of(OnnxFiles.Identity(onnxType, 3));
        using var work = Read(plan, $$"""{"inputs": [{"name": "x", "shape": [3], "datatype": "{{datatype}}", "data": {{data}}}]}""", out var refusal);
        refusal.ShouldBeNull();
        work.Tensors.Inputs[0].Raw.ToArray().ShouldBe(bits);
    }

    [Theory]
    [InlineData(7, "INT64", "[-9223372036854775808,9223372036854775807,9007199254740993]", new[] { "-9223372036854775808", "9223372036854775807", "9007199254740993" })]
    [InlineData(13, "UINT64", "[18446744073709551615,0,9007199254740993]", new[] { "18446744073709551615", "0", "9007199254740993" })]
    public void Large_whole_numbers_are_not_rounded(int onnxType, string datatype, string data, string[] values)
    {
        var plan = Plans.Of(OnnxFiles.Identity(onnxType, 3));
        using var work = Read(plan, $$"""{"inputs": [{"name": "x", "shape": [3], "datatype": "{{datatype}}", "data": {{data}}}]}""", out var refusal);
        refusal.ShouldBeNull();
        (datatype == "INT64" ? work.Tensors.Inputs[0].Values<long>().ToArray().Select(value => value.ToString()) : work.Tensors.Inputs[0].Values<ulong>().ToArray().Select(value => value.ToString())).ShouldBe(values);
    }

    [Theory]
    [InlineData(2, "UINT8", "[256]")]
    [InlineData(2, "UINT8", "[-1]")]
    [InlineData(3, "INT8", "[128]")]
    [InlineData(6, "INT32", "[1.5]")]
    [InlineData(6, "INT32", "[2147483648]")]
    [InlineData(7, "INT64", "[9223372036854775808]")]
    [InlineData(13, "UINT64", "[18446744073709551616]")]
    [InlineData(9, "BOOL", "[2]")]
    [InlineData(10, "FP16", "[70000]")]
    [InlineData(8, "BYTES", "[1]")]
    [InlineData(6, "INT32", "[\"NaN\"]")]
    public void A_number_the_type_cannot_hold_is_refused_and_never_cut_short(int onnxType, string datatype, string data)
    {
        using var _ = Read(Plans.Of(OnnxFiles.Identity(onnxType, 1)), $$"""{"inputs": [{"name": "x", "shape": [1], "datatype": "{{datatype}}", "data": {{data}}}]}""", out var refusal);
        refusal.ShouldNotBeNull().Code.ShouldBe("wrong-element");
    }

    [Fact]
    public void Scalars_and_empty_tensors_are_tensors_too()
    {
        using var scalar = Read(Plans.Of(OnnxFiles.Identity(1)), """{"inputs": [{"name": "x", "shape": [], "datatype": "FP32", "data": 5}]}""", out var refusal);
        refusal.ShouldBeNull();
        scalar.Tensors.Inputs[0].Values<float>().ToArray().ShouldBe([5f]);
        using var empty = Read(Sums, """{"inputs": [{"name": "a", "shape": [0,3], "datatype": "FP32", "data": []}, {"name": "b", "shape": [0,3], "datatype": "FP32", "data": [[]]}]}""", out refusal);
        refusal.ShouldBeNull();
        empty.Units.ShouldBe(1);
    }

    [Fact]
    public void Whatever_the_bytes_are_the_outcome_is_tensors_or_a_refusal()
    {
        var valid = Encoding.UTF8.GetBytes(Body("[1,3]", "[1, NaN, 3e2]", """, "outputs": [{"name": "sum"}], "id": "i" """));
        var mutations = Gen.Select(Gen.Int[0, valid.Length - 1], Gen.Byte, Gen.Int[0, 3]).List[0, 8];
        Gen.OneOf(Gen.Byte.Array[0, 200], mutations.Select(edits => PredictRequestTests.Mutate(valid, edits)), PredictRequestTests.Json.Select(text => Encoding.UTF8.GetBytes(text))).Sample(body =>
        {
            using var work = new PredictionWork(Sums);
            var refusal = InferRequest.Read(body, [], work);
            return refusal is not null ? refusal.Kind is RefusalKind.Invalid && refusal.Detail.Length > 0 : work.Tensors.Inputs.All(input => input.Count == input.Shape.Aggregate(1L, (count, size) => count * size));
        }, iter: 30_000);
    }

    [Fact]
    public void What_is_written_reads_back_to_the_same_bits() => Gen.Float.Array[1, 20].Sample(values =>
    {
        var plan = Plans.Of(OnnxFiles.Identity(1, -1));
        using var written = new Tensor(plan.Inputs[0]);
        written.SetShape(values.Length);
        written.Resize(values.Length);
        values.CopyTo(written.Values<float>());
        using var buffer = new MemoryStream();
        using (var json = new System.Text.Json.Utf8JsonWriter(buffer))
        {
            json.WriteStartArray();
            TensorJson.Write(json, written, 0, values.Length);
            json.WriteEndArray();
        }
        using var work = Read(plan, $$"""{"inputs": [{"name": "x", "shape": [{{values.Length}}], "datatype": "FP32", "data": {{Encoding.UTF8.GetString(buffer.ToArray())}}}]}""", out var refusal);
        return refusal is null && work.Tensors.Inputs[0].Values<float>().ToArray().Zip(values).All(pair => pair.First.Equals(pair.Second));
    }, iter: 200);

    private static string Body(string shape, string data, string more = "") =>
        $$"""{"inputs": [{"name": "a", "shape": {{shape}}, "datatype": "FP32", "data": {{data}}}, {"name": "b", "shape": [1,3], "datatype": "FP32", "data": [0,0,0]}]{{more}}}""";

    private static PredictionWork Read(ServingPlan plan, string body, out Refusal? refusal)
    {
        var work = new PredictionWork(plan);
        refusal = InferRequest.Read(Encoding.UTF8.GetBytes(body), [], work);
        return work;
    }
}
