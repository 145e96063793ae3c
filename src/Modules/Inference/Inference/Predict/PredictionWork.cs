using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using Platform.Inference.Predict.Journal;
using Platform.Inference.Predict.Rules;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Inference.Predict;

/// <summary>The memory of one request under way: its tensors, what was read beside them, and the bytes of its answer. Pooled by plan.</summary>
internal sealed class PredictionWork(ServingPlan plan) : IDisposable
{
    private const int LargestKept = 256 << 10;

    private bool[] seen = [];
    private ArrayBufferWriter<byte> answer = new(1024);

    public ServingPlan Plan { get; } = plan;

    public TensorSet Tensors { get; } = new(plan.Inputs, plan.Outputs);

    /// <summary>What the version's rules did; null when it has none.</summary>
    public RuleTrace? Ruled { get; } = plan.Rules is { } rules ? new RuleTrace(rules) : null;

    /// <summary>Rows of a call with named columns.</summary>
    public int Rows { get; private set; }

    /// <summary>Whether the caller sent a list of rows, and so gets a list.</summary>
    public bool IsList { get; set; }

    /// <summary>Where its rows begin among all that the caller sent, when they are a part of a stream; null when they are all.</summary>
    public int? FirstRow { get; set; }

    /// <summary>Cells set so far, of <see cref="Rows"/> × columns.</summary>
    public int CellsSet { get; private set; }

    /// <summary>Keys of the feature view's entity, one a row; empty when none were sent.</summary>
    public List<string> Keys { get; } = [];

    public bool WantsInterval { get; set; } = true;

    /// <summary>The id the caller gave its request, to be echoed.</summary>
    public string? RequestId { get; set; }

    /// <summary>How long the caller will wait for the answer, from when the request began; null is as long as it takes.</summary>
    public TimeSpan? Timeout { get; set; }

    /// <summary>The outputs to compute, by index.</summary>
    public int[] Wanted { get; set; } = [];

    /// <summary>Which of the wanted outputs are answered as bytes behind the JSON, one flag each; empty when none is.</summary>
    public bool[] Binary { get; set; } = [];

    /// <summary>The outputs that the request names, as it is read, and whether each is asked for as bytes.</summary>
    public List<(int Index, bool? Binary)> Asked { get; } = [];

    /// <summary>The prediction's id, once it is answered; for dialects that write their answer while they send it.</summary>
    public Guid Id { get; set; }

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

    /// <summary>The row as the caller counts it.</summary>
    public int Numbered(int row) => (FirstRow ?? 0) + row;

    /// <summary>The row as a refusal names it.</summary>
    public string Field(int row) => IsList ? $"inputs[{Numbered(row)}]" : "inputs";

    public Refusal NoNumber(int row) =>
        Refusal.Invalid("no-finite-prediction", $"The model gives no number for row {Numbered(row)}.", Field(row), "Check that the values are within what the model was trained on.");

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

    /// <summary>The model ran for this request alone.</summary>
    public void Ran()
    {
        Stages.Ran();
        Plan.Totals.AddRun();
    }

    /// <summary>Memory it holds while nobody uses it.</summary>
    public int HeldBytes => Tensors.HeldBytes + answer.Capacity + seen.Length + (Ruled?.HeldBytes ?? 0);

    public void Clear()
    {
        Tensors.Clear();
        Ruled?.Clear();
        (Rows, CellsSet, IsList, WantsInterval, Features) = (0, 0, false, true, []);
        (RequestId, Wanted, Binary, Units, Timeout, FirstRow) = (null, [], [], 0, null, null);
        Keys.Clear();
        Asked.Clear();
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

    /// <summary>No run was needed: the stages queue and run take exactly nothing, which a run never does.</summary>
    public void Remembered() => seated = ran = enriched;

    public bool WasRemembered => ran == enriched;

    public void Recorded() => recorded = Now();

    /// <summary>How long ago the request began.</summary>
    public TimeSpan SoFar => Between(began, Now());

    /// <summary>How long ago it got a core.</summary>
    public TimeSpan SinceSeated => Between(seated, Now());

    public TimeSpan Parse => Between(began, parsed);

    public TimeSpan Features => Between(parsed, enriched);

    public TimeSpan Queue => Between(enriched, seated);

    public TimeSpan Run => Between(seated, ran);

    public TimeSpan Journal => Between(ran, recorded);

    public TimeSpan Total => Between(began, recorded);

    private static long Now() => System.Diagnostics.Stopwatch.GetTimestamp();

    private static TimeSpan Between(long from, long to) => System.Diagnostics.Stopwatch.GetElapsedTime(from, to);
}
