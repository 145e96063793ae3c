using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Platform.Kernel;
using Platform.Registry.Contracts;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>Runs a model on an example in a child process, with the engine that will serve it: how long a run takes, what the model takes of memory, and what it
/// gives. A model that hangs is ended with the process, by whoever started it.</summary>
internal sealed class ExampleTrialWork : IChildWork
{
    private const int FirstRuns = 2;

    /// <summary>Beyond this an allocation fails, and with it the run that asked.</summary>
    private const long MostMemory = 4L << 30;

    public string Name => ExampleTrial.Work;

    public async Task RunAsync(Stream input, Stream output, IProgress<ChildProgress> progress, CancellationToken ct)
    {
        var task = await ChildFrames.ReadHeaderAsync<ExampleTask>(input, ct);
        using var file = new MemoryStream();
        await input.CopyToAsync(file, ct);
        NativeMemory.Limit(NativeMemory.Allocated() + MostMemory);
        await ChildFrames.WriteHeaderAsync(output, Try(task, file.ToArray()), ct);
    }

    internal static ExampleResult Try(ExampleTask task, byte[] artifact)
    {
        var before = NativeMemory.Resident();
        var began = Stopwatch.GetTimestamp();
        var loaded = 0.0;
        try
        {
            using ILoadedModel model = task.Kind is ArtifactKind.MlNet ? MlNetModel.Open(artifact) : new OnnxEngine(new OnnxPlacement()).Load(artifact);
            loaded = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
            using var set = new TensorSet([.. task.Signature.Inputs.Select(TensorLayout.Of)], [.. task.Signature.Outputs.Select(TensorLayout.Of)]);
            foreach (var tensor in set.Inputs) Fill(tensor, task.Inputs.Single(given => given.Name == tensor.Layout.Name));
            int[] wanted = [.. Enumerable.Range(0, set.Outputs.Length)];
            // No seat of the server's: the process is this run's alone, and who started it ends it.
            var seat = new RunSeat(TimeProvider.System, Timeout.InfiniteTimeSpan, isGuest: false).For(CancellationToken.None);
            for (var run = 0; run < FirstRuns; run++) model.Run(set, wanted, seat);
            var times = new double[task.Runs];
            for (var run = 0; run < times.Length; run++)
            {
                var start = Stopwatch.GetTimestamp();
                model.Run(set, wanted, seat);
                times[run] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            }

            Array.Sort(times);
            var tooLarge = set.Outputs.Sum(tensor => (long)tensor.Count) > task.LargestOutput;
            return new(tooLarge ? [] : [.. set.Outputs.Select(Shown)], times[times.Length / 2], times.Length, loaded, Grown(), null);
        }
        catch (Exception failure) when (failure is ModelRunException or ModelLoadException or FormatException or OverflowException or InvalidOperationException)
        {
            return new([], null, 0, loaded, Grown(), failure.Message.Split('\n')[0]);
        }

        long Grown() => Math.Max(0, NativeMemory.Resident() - before);
    }

    private static void Fill(Tensor tensor, ExampleTensor given)
    {
        tensor.SetShape([.. given.Shape]);
        tensor.Resize(given.Data.GetArrayLength());
        var at = 0;
        foreach (var element in given.Data.EnumerateArray()) Set(tensor, at++, element);
    }

    private static void Set(Tensor tensor, int at, JsonElement element)
    {
        if (tensor.IsText)
        {
            tensor.SetText(at, Encoding.UTF8.GetBytes(element.ValueKind is JsonValueKind.String ? element.GetString()! : element.ValueKind is JsonValueKind.Null ? "" : element.GetRawText()));
            return;
        }

        switch (tensor.Layout.Datatype)
        {
            case Datatype.FP32: tensor.Set(at, (float)Real(element)); break;
            case Datatype.FP64: tensor.Set(at, Real(element)); break;
            case Datatype.FP16: tensor.Set(at, (Half)Real(element)); break;
            case Datatype.BF16: tensor.Set(at, BFloat16.Bits((float)Real(element))); break;
            case Datatype.Int64: tensor.Set(at, Whole<long>(element)); break;
            case Datatype.Int32: tensor.Set(at, Whole<int>(element)); break;
            case Datatype.Int16: tensor.Set(at, Whole<short>(element)); break;
            case Datatype.Int8: tensor.Set(at, Whole<sbyte>(element)); break;
            case Datatype.UInt64: tensor.Set(at, Whole<ulong>(element)); break;
            case Datatype.UInt32: tensor.Set(at, Whole<uint>(element)); break;
            case Datatype.UInt16: tensor.Set(at, Whole<ushort>(element)); break;
            case Datatype.UInt8: tensor.Set(at, Whole<byte>(element)); break;
            default: tensor.Set(at, (byte)(element.ValueKind is JsonValueKind.True || (element.ValueKind is JsonValueKind.Number && element.GetDouble() != 0) ? 1 : 0)); break;
        }
    }

    private static double Real(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Number => element.GetDouble(),
        JsonValueKind.True => 1,
        JsonValueKind.False => 0,
        JsonValueKind.Null => double.NaN,
        // What JSON has no number for.
        _ => double.Parse(element.GetString()!, CultureInfo.InvariantCulture),
    };

    private static T Whole<T>(JsonElement element) where T : System.Numerics.INumber<T> => element.ValueKind switch
    {
        JsonValueKind.True => T.One,
        JsonValueKind.False => T.Zero,
        JsonValueKind.Number when element.TryGetInt64(out var whole) => T.CreateChecked(whole),
        JsonValueKind.Number => T.CreateChecked(element.GetDouble()),
        JsonValueKind.Null => throw new FormatException("An element is null, and the input takes whole numbers."),
        _ => T.Parse(element.GetString()!, CultureInfo.InvariantCulture),
    };

    private static ExampleTensor Shown(Tensor tensor)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartArray();
            TensorJson.Write(json, tensor, 0, tensor.Count);
            json.WriteEndArray();
        }

        return new(tensor.Layout.Name, tensor.Layout.Datatype.Name(), [.. tensor.Shape], JsonDocument.Parse(buffer.ToArray()).RootElement);
    }
}
