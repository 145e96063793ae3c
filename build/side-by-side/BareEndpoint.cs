using System.Text.Json;
using Microsoft.ML.OnnxRuntime;

namespace Platform.SideBySide;

/// <summary>What one would write without a platform: a Kestrel endpoint that reads the same JSON, runs the same model and writes the number.
/// No key, no limit, no journal, no meter, no checks beyond what parsing needs.</summary>
internal static class BareEndpoint
{
    public static async Task RunAsync(string onnx, Uri url)
    {
        using var options = new Microsoft.ML.OnnxRuntime.SessionOptions { IntraOpNumThreads = 1, InterOpNumThreads = 1 };
        options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0");
        using var session = new InferenceSession(onnx, options);
        var inputs = session.InputMetadata.Select(i => (Name: i.Key, IsText: i.Value.IsString)).ToArray();
        var index = inputs.Select((input, i) => (input.Name, i)).ToDictionary(p => p.Name, p => p.i);
        var output = session.OutputMetadata.Keys.First();

        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls(url.ToString());
        await using var app = builder.Build();
        app.MapPost("/predict", async context =>
        {
            using var body = await JsonDocument.ParseAsync(context.Request.Body);
            var values = new OrtValue[inputs.Length];
            try
            {
                foreach (var column in body.RootElement.GetProperty("inputs").EnumerateObject())
                {
                    if (index.TryGetValue(column.Name, out var at)) values[at] = Tensor(column.Value, inputs[at].IsText);
                }

                for (var i = 0; i < values.Length; i++) values[i] ??= Tensor(default, inputs[i].IsText);
                using var run = new RunOptions();
                using var results = session.Run(run, [.. inputs.Select(i => i.Name)], values, [output]);
                context.Response.ContentType = "application/json";
                await context.Response.WriteAsync($"{{\"prediction\":{results[0].GetTensorDataAsSpan<float>()[0]}}}");
            }
            finally
            {
                foreach (var value in values) value?.Dispose();
            }
        });
        await app.RunAsync();
    }

    private static OrtValue Tensor(JsonElement value, bool isText)
    {
        if (isText)
        {
            var text = OrtValue.CreateTensorWithEmptyStrings(OrtAllocator.DefaultInstance, [1, 1]);
            text.StringTensorSetElementAt(value.ValueKind == JsonValueKind.String ? value.GetString() : "", 0);
            return text;
        }

        var number = value.ValueKind switch
        {
            JsonValueKind.Number => value.GetSingle(),
            JsonValueKind.True => 1f,
            JsonValueKind.False => 0f,
            JsonValueKind.String => DateOnly.Parse(value.GetString()!).DayNumber - DateOnly.FromDateTime(DateTime.UnixEpoch).DayNumber,
            _ => float.NaN,
        };
        return OrtValue.CreateTensorValueFromMemory([number], [1, 1]);
    }
}
