using System.Buffers;
using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.ML.OnnxRuntime;

namespace Platform.Load;

/// <summary>The bare limit: a Kestrel endpoint that reads the same JSON with the lowest-level reader there is into memory used again and again, runs the
/// same model and writes the numbers. No key, no limit, no journal, no meter, no checks. It also says how fast the model is without any HTTP.</summary>
internal static class BareEndpoint
{
    public static async Task RunAsync(string onnx, int features, int outputs, Uri url)
    {
        using var session = Session(onnx);
        var slots = new ConcurrentBag<Slot>();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls(url.ToString());
        await using var app = builder.Build();
        app.Run(async context =>
        {
            var reader = context.Request.BodyReader;
            System.IO.Pipelines.ReadResult read;
            while (!(read = await reader.ReadAsync()).IsCompleted) reader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
            if (!slots.TryTake(out var slot)) slot = new Slot(session, features, outputs);
            Fill(read.Buffer, slot.X);
            reader.AdvanceTo(read.Buffer.End);
            slot.Run();
            context.Response.ContentType = "application/json";
            Write(context.Response.BodyWriter, slot);
            slots.Add(slot);
            await context.Response.BodyWriter.FlushAsync();
        });
        await app.RunAsync();
    }

    /// <summary>Runs a second that as many threads as there are cores get out of the model, with nothing around it.</summary>
    public static double Raw(string onnx, Model model, IReadOnlyList<float[]> rows, int outputs, TimeSpan time)
    {
        using var session = Session(onnx);
        long runs = 0;
        var until = Environment.TickCount64 + (long)time.TotalMilliseconds;
        var threads = Enumerable.Range(0, Environment.ProcessorCount).Select(i => new Thread(() =>
        {
            var slot = new Slot(session, model.Features, outputs);
            var mine = 0L;
            while (Environment.TickCount64 < until)
            {
                rows[(int)((mine + (i * 100)) % rows.Count)].CopyTo(slot.X, 0);
                slot.Run();
                mine++;
            }

            Interlocked.Add(ref runs, mine);
        })).ToArray();
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        return runs / time.TotalSeconds;
    }

    private static InferenceSession Session(string onnx)
    {
        using var options = new Microsoft.ML.OnnxRuntime.SessionOptions { IntraOpNumThreads = 1, InterOpNumThreads = 1 };
        options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0");
        return new InferenceSession(onnx, options);
    }

    private static void Fill(ReadOnlySequence<byte> body, float[] x)
    {
        var reader = new Utf8JsonReader(body);
        while (reader.Read() && !(reader.TokenType is JsonTokenType.PropertyName && reader.ValueTextEquals("data"u8)))
        {
        }

        reader.Read();
        for (var i = 0; i < x.Length && reader.Read(); i++) x[i] = reader.GetSingle();
    }

    private static void Write(IBufferWriter<byte> to, Slot slot)
    {
        using var json = new Utf8JsonWriter(to);
        json.WriteStartObject();
        json.WriteStartArray("data"u8);
        foreach (var value in slot.Y) json.WriteNumberValue(value);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private sealed class Slot
    {
        private static readonly string[] Inputs = ["x"], Outputs = ["y"];
        private readonly InferenceSession session;

        /// <summary>Lives as long as the process.</summary>
        private static readonly RunOptions Options = new();
        private readonly OrtValue[] x, y;

        public Slot(InferenceSession session, int features, int outputs)
        {
            this.session = session;
            (X, Y) = (new float[features], new float[outputs]);
            long[] shape = [1, .. session.InputMetadata["x"].Dimensions.Skip(1).Select(size => (long)size)];
            x = [OrtValue.CreateTensorValueFromMemory(X, shape)];
            y = [OrtValue.CreateTensorValueFromMemory(Y, [1, outputs])];
        }

        public float[] X { get; }

        public float[] Y { get; }

        public void Run() => session.Run(Options, Inputs, x, Outputs, y);
    }
}
