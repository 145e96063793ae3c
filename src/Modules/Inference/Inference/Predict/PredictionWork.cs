using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using Platform.Inference.Predict.Journal;
using Platform.Inference.Predict.Runtimes;

namespace Platform.Inference.Predict;

/// <summary>The memory of one request under way: its tensors, what was read beside them, and the bytes of its answer. Pooled by plan.</summary>
internal sealed class PredictionWork(ServingPlan plan) : IDisposable
{
    private const int LargestKept = 256 << 10;

    private bool[] seen = [];
    private ArrayBufferWriter<byte> answer = new(1024);

    public ServingPlan Plan { get; } = plan;

    public TensorSet Tensors { get; } = new(plan.Inputs, plan.Outputs);

    /// <summary>Rows of a call with named columns.</summary>
    public int Rows { get; private set; }

    /// <summary>Whether the caller sent a list of rows, and so gets a list.</summary>
    public bool IsList { get; set; }

    /// <summary>Cells set so far, of <see cref="Rows"/> × columns.</summary>
    public int CellsSet { get; private set; }

    /// <summary>Keys of the feature view's entity, one a row; empty when none were sent.</summary>
    public List<string> Keys { get; } = [];

    public bool WantsInterval { get; set; } = true;

    /// <summary>The id the caller gave its request, to be echoed.</summary>
    public string? RequestId { get; set; }

    /// <summary>The outputs to compute, by index.</summary>
    public int[] Wanted { get; set; } = [];

    /// <summary>What the call is billed as: its rows.</summary>
    public int Units { get; set; }

    /// <summary>What the feature view added, by row.</summary>
    public IReadOnlyDictionary<string, object?>?[] Features { get; set; } = [];

    /// <summary>The journal row in the making; null before the request was understood and after it was handed over.</summary>
    public JournalEntry? Entry { get; set; }

    public Stages Stages { get; } = new();

    public Utf8JsonWriter Json { get; } = new(Stream.Null, new JsonWriterOptions { SkipValidation = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

    /// <summary>Where the answer is written before it is sent.</summary>
    public ArrayBufferWriter<byte> Answer => answer;

    /// <summary>Makes room for one more row, nothing of which is set.</summary>
    public int AddRow()
    {
        var columns = Plan.Columns!.Count;
        var needed = (Rows + 1) * columns;
        if (seen.Length < needed) Array.Resize(ref seen, Math.Max(needed, seen.Length * 2));
        seen.AsSpan(Rows * columns, columns).Clear();
        foreach (var tensor in Tensors.Inputs) tensor.Resize(Rows + 1);
        return Rows++;
    }

    public bool IsSet(int row, int column) => seen[(row * Plan.Columns!.Count) + column];

    public void MarkSet(int row, int column)
    {
        seen[(row * Plan.Columns!.Count) + column] = true;
        CellsSet++;
    }

    public void Clear()
    {
        Tensors.Clear();
        (Rows, CellsSet, IsList, WantsInterval, Features) = (0, 0, false, true, []);
        (RequestId, Wanted, Units) = (null, [], 0);
        Keys.Clear();
        if (seen.Length > LargestKept) seen = [];
        if (answer.Capacity > LargestKept) answer = new ArrayBufferWriter<byte>(1024);
        else answer.ResetWrittenCount();
    }

    public void Dispose()
    {
        Tensors.Dispose();
        Json.Dispose();
    }
}

/// <summary>When the stages of one request ended, on the monotonic clock.</summary>
internal sealed class Stages
{
    private long began, parsed, enriched, seated, ran, recorded;

    public void Begin() => began = parsed = enriched = seated = ran = recorded = System.Diagnostics.Stopwatch.GetTimestamp();

    public void Parsed() => parsed = enriched = Now();

    public void Enriched() => enriched = Now();

    public void Seated() => seated = Now();

    public void Ran() => ran = Now();

    public void Recorded() => recorded = Now();

    public TimeSpan Parse => Between(began, parsed);

    public TimeSpan Features => Between(parsed, enriched);

    public TimeSpan Queue => Between(enriched, seated);

    public TimeSpan Run => Between(seated, ran);

    public TimeSpan Journal => Between(ran, recorded);

    public TimeSpan Total => Between(began, recorded);

    private static long Now() => System.Diagnostics.Stopwatch.GetTimestamp();

    private static TimeSpan Between(long from, long to) => System.Diagnostics.Stopwatch.GetElapsedTime(from, to);
}
