using System.Text;
using System.Text.Json;
using Google.Protobuf;
using Platform.Inference.Predict;
using Platform.Inference.Predict.OpenInference;
using Platform.Inference.Predict.OpenInference.Wire;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;
using Xunit.Abstractions;

namespace Inference.Tests.Predict.OpenInference;

/// <summary>Malformed requests by the ten thousand at the protocol's three readers. Each is read or refused with a sentence; anything else
/// (another exception, a tensor that is not as large as its shape says, a reader that does not end) would be a 500 or worse. PLATFORM_FUZZ_COUNT asks for more.</summary>
public sealed class MalformedInputTests(ITestOutputHelper output)
{
    private static readonly int Count = int.TryParse(Environment.GetEnvironmentVariable("PLATFORM_FUZZ_COUNT"), out var count) ? count : 102_000;

    private static readonly ServingPlan[] Plans =
    [
        global::Inference.Tests.Plans.Of(OnnxFiles.SumAndDifference()), global::Inference.Tests.Plans.Of(OnnxFiles.Identity(OnnxFiles.Text, -1, 2)),
        global::Inference.Tests.Plans.Of(OnnxFiles.Identity(OnnxFiles.Int8, -1)), global::Inference.Tests.Plans.Of(OnnxFiles.Identity(OnnxFiles.Int64)),
        global::Inference.Tests.Plans.Of(OnnxFiles.Identity(9, -1, -1)), global::Inference.Tests.Plans.Of(OnnxFiles.Identity(10, 2)),
    ];

    private static readonly byte[][] Tokens =
    [
        .. new[]
        {
            "{", "}", "[", "]", ",", ":", "\"", "\\", "null", "true", "-1", "0", "1e999", "NaN", "-Infinity", "9223372036854775807", "18446744073709551616", "0.1", "\"\\ud800\"", "\"x\"",
            "\"name\":", "\"shape\":", "\"datatype\":", "\"data\":", "\"parameters\":", "\"binary_data_size\":", "\"binary_data\":true", "\"outputs\":[", "\"inputs\":[", "[4294967296,4294967296]", "[-1]", "[0]",
        }.Select(Encoding.UTF8.GetBytes),
        [0], [0xff], [0xff, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0xff, 0x0f], [0x2a, 0x00], [0x3a, 0x00], [0x3a, 0xff, 0xff, 0xff, 0xff, 0x07], [0xed, 0xa0, 0x80], [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    ];

    [Theory]
    [InlineData("JSON", 20260801)]
    [InlineData("binary", 20260802)]
    [InlineData("protobuf", 20260803)]
    public void Whatever_the_bytes_are_they_are_read_or_refused(string reader, int seed)
    {
        var random = new Random(seed);
        var (read, refused) = (0, new Dictionary<string, int>());
        PredictionWork[] works = [.. Plans.Select(plan => new PredictionWork(plan))];
        var valid = works.Select(work => Valid(reader, work.Plan)).ToArray();
        for (var i = 0; i < Count / 3; i++)
        {
            var which = random.Next(works.Length);
            var bytes = Spoil(random, valid[random.Next(10) == 0 ? random.Next(works.Length) : which]);
            var work = works[which];
            try
            {
                if (Read(reader, bytes, work, random) is { } refusal)
                {
                    refusal.Kind.ShouldBe(RefusalKind.Invalid);
                    refusal.Detail.ShouldNotBeNullOrWhiteSpace();
                    refused[refusal.Code] = refused.GetValueOrDefault(refusal.Code) + 1;
                }
                else
                {
                    read++;
                    foreach (var input in work.Tensors.Inputs) ((long)input.Count).ShouldBe(input.Shape.Aggregate(1L, (product, size) => product * size));
                    TensorBytes.Length(work.Tensors.Inputs[0]).ShouldBeLessThanOrEqualTo(bytes.Length * 8);
                }
            }
            catch (Exception failure)
            {
                throw new InvalidOperationException($"Seed {seed}, input {i}: {Convert.ToHexString(bytes)}", failure);
            }
            work.Clear();
        }
        output.WriteLine($"{reader}, seed {seed}: {read} read, {refused.Values.Sum()} refused ({string.Join(", ", refused.OrderByDescending(one => one.Value).Select(one => $"{one.Key} {one.Value}"))}).");
        read.ShouldBeGreaterThan(0);
        refused.Count.ShouldBeGreaterThan(5);
    }

    private static Refusal? Read(string reader, byte[] bytes, PredictionWork work, Random random)
    {
        if (reader == "JSON") return InferRequest.Read(bytes, [], work);
        if (reader == "protobuf") return InferMessage.Address(bytes).Refusal ?? InferMessage.Read(bytes, work);
        if (random.Next(20) == 0) return InferRequest.ReadRaw(bytes, work);
        // Where the JSON ends is as untrusted as the rest.
        var end = random.Next(4) == 0 ? random.Next(bytes.Length + 1) : Math.Max(0, Array.LastIndexOf(bytes, (byte)'}') + 1);
        return InferRequest.Read(bytes.AsSpan(0, end), bytes.AsSpan(end), work);
    }

    /// <summary>A request that would be answered.</summary>
    private static byte[] Valid(string reader, ServingPlan plan)
    {
        var inputs = plan.Inputs.Select(layout => (Layout: layout, Shape: layout.Shape.Select(size => size < 0 ? 2 : size).ToArray())).ToArray();
        byte[][] values = [.. inputs.Select(input => Bytes(input.Layout.Datatype, (int)input.Shape.Aggregate(1L, (count, size) => count * size)))];
        if (reader == "protobuf")
        {
            var message = new ModelInferRequest { ModelName = "sums", ModelVersion = "1", Id = "i", Outputs = { new ModelInferRequest.Types.InferRequestedOutputTensor { Name = plan.Outputs[0].Name } } };
            message.Inputs.Add(inputs.Select(input => new ModelInferRequest.Types.InferInputTensor { Name = input.Layout.Name, Datatype = input.Layout.Datatype.Name(), Shape = { input.Shape } }));
            if (plan.Inputs.Length == 1 && plan.Inputs[0].Datatype is Datatype.Int64) message.Inputs[0].Contents = new InferTensorContents { Int64Contents = { 1 } };
            else message.RawInputContents.Add(values.Select(value => ByteString.CopyFrom(value)));
            return message.ToByteArray();
        }
        var isBinary = reader == "binary";
        var json = JsonSerializer.Serialize(new
        {
            id = "i",
            inputs = inputs.Select((input, i) => new Dictionary<string, object>
            {
                ["name"] = input.Layout.Name,
                ["shape"] = input.Shape,
                ["datatype"] = input.Layout.Datatype.Name(),
                [isBinary ? "parameters" : "data"] = isBinary ? new { binary_data_size = values[i].Length } : Enumerable.Repeat<object>(input.Layout.Datatype is Datatype.Bytes ? "a" : input.Layout.Datatype is Datatype.Bool ? true : 1, (int)input.Shape.Aggregate(1L, (count, size) => count * size)),
            }),
            outputs = new[] { new { name = plan.Outputs[0].Name, parameters = new { binary_data = true } } },
        });
        return [.. Encoding.UTF8.GetBytes(json), .. isBinary ? values.SelectMany(value => value) : []];
    }

    private static byte[] Bytes(Datatype type, int count) => type is Datatype.Bytes
        ? [.. Enumerable.Repeat<byte[]>([1, 0, 0, 0, (byte)'a'], count).SelectMany(text => text)]
        : [.. Enumerable.Repeat((byte)1, count * type.Size())];

    private static byte[] Spoil(Random random, byte[] valid)
    {
        if (random.Next(50) == 0)
        {
            var noise = new byte[random.Next(64)];
            random.NextBytes(noise);
            return noise;
        }
        List<byte> bytes = [.. valid];
        for (var edits = random.Next(5); edits > 0; edits--)
        {
            var at = random.Next(bytes.Count + 1);
            var length = Math.Min(random.Next(1, 9), bytes.Count - at);
            switch (random.Next(6))
            {
                case 0 when at < bytes.Count: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                case 1: bytes.RemoveRange(at, length); break;
                case 2: bytes.RemoveRange(at, bytes.Count - at); break;
                case 3: bytes.InsertRange(at, bytes.GetRange(at, length)); break;
                case 4 when at < bytes.Count: bytes[at] = (byte)random.Next(256); break;
                default: bytes.InsertRange(at, Tokens[random.Next(Tokens.Length)]); break;
            }
        }
        return [.. bytes];
    }
}
