using System.Runtime.InteropServices;
using System.Text.Json;
using Platform.Inference.Predict.Journal;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Inference.Predict.Rules;

/// <summary>What the rules did to the rows of one request: what was said before them, which fired, and the intervals they left. A rule has fired when its
/// conditions held and it changed the number, or said something. Pooled with the request's work.</summary>
internal sealed class RuleTrace(PlanRules rules)
{
    /// <summary>More of what rules did is not written down with one prediction.</summary>
    private const int LargestKept = 16 << 20;

    private const int MostIdle = 4096;

    private readonly List<RuledRow> rows = [];
    private readonly List<Firing> firings = [];
    private (double Lower, double Upper)[] bounds = [];

    /// <summary>Whether the prediction was asked for, so that the rules were put to it.</summary>
    public bool IsApplied { get; private set; }

    public bool HasBounds { get; private set; }

    public int HeldBytes => (rows.Capacity * 24) + (firings.Capacity * 16) + (bounds.Length * 16);

    public void Begin(int count, bool withBounds)
    {
        (IsApplied, HasBounds) = (true, withBounds);
        if (withBounds && bounds.Length < count) bounds = new (double, double)[count];
    }

    /// <param name="after">What the rule left, which for a flag is what it found.</param>
    public void Fired(int row, double before, int rule, double after)
    {
        if (rows.Count == 0 || rows[^1].Row != row) rows.Add(new(row, firings.Count, before));
        firings.Add(new(rule, after));
    }

    public void Bound(int row, (double Lower, double Upper) interval) => bounds[row] = interval;

    public (double Lower, double Upper) BoundsOf(int row) => bounds[row];

    /// <summary>Of one row: <c>{"before": …, "fired": […]}</c>.</summary>
    /// <param name="prediction">What it is now, and was where nothing fired.</param>
    public void Write(Utf8JsonWriter json, int row, double prediction)
    {
        var index = CollectionsMarshal.AsSpan(rows).BinarySearch(new RuledRow(row, 0, 0));
        json.WriteStartObject();
        json.WritePropertyName("before"u8);
        WriteNumber(json, index < 0 ? prediction : rows[index].Before);
        WriteFired(json, index);
        json.WriteEndObject();
    }

    /// <summary>Writes the journal's field <c>rules</c>: the rows that any rule fired for, with their place among all. Refuses what is more than a row of the journal is to hold.</summary>
    public Refusal? WriteTo(JournalEntry entry, Utf8JsonWriter json)
    {
        var mark = entry.Open();
        json.Reset(entry);
        json.WriteStartArray();
        for (var i = 0; i < rows.Count; i++)
        {
            json.WriteStartObject();
            json.WriteNumber("row"u8, rows[i].Row);
            json.WritePropertyName("before"u8);
            WriteNumber(json, rows[i].Before);
            WriteFired(json, i);
            json.WriteEndObject();
            if (json.BytesCommitted + json.BytesPending > LargestKept)
                return new Refusal(RefusalKind.TooLarge, "answer-too-large", $"What the version's rules did to these rows is more than the {LargestKept:N0} bytes that are written down with one prediction.", null, "Send fewer rows a call.");
        }
        json.WriteEndArray();
        json.Flush();
        entry.Close(mark);
        return null;
    }

    public void Clear()
    {
        (IsApplied, HasBounds) = (false, false);
        rows.Clear();
        firings.Clear();
        if (rows.Capacity > MostIdle) rows.Capacity = 0;
        if (firings.Capacity > MostIdle) firings.Capacity = 0;
        if (bounds.Length > MostIdle) bounds = [];
    }

    private void WriteFired(Utf8JsonWriter json, int index)
    {
        json.WriteStartArray("fired"u8);
        var (first, end) = index < 0 ? (0, 0) : (rows[index].First, index + 1 < rows.Count ? rows[index + 1].First : firings.Count);
        for (var i = first; i < end; i++)
        {
            var rule = rules[firings[i].Rule];
            json.WriteStartObject();
            json.WriteString("name"u8, rule.Encoded);
            if (rule.Act is Act.Flag)
            {
                json.WriteString("flag"u8, rule.Text);
            }
            else
            {
                json.WritePropertyName("prediction"u8);
                WriteNumber(json, firings[i].After);
            }
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    /// <summary>With the digits that the prediction itself is written with.</summary>
    private void WriteNumber(Utf8JsonWriter json, double number)
    {
        if (rules.Datatype is Datatype.FP64) json.WriteNumberValue(number);
        else json.WriteNumberValue((float)number);
    }

    /// <summary>A row that something fired for.</summary>
    /// <param name="First">Its first among the firings; they end where the next row's begin.</param>
    private readonly record struct RuledRow(int Row, int First, double Before) : IComparable<RuledRow>
    {
        public int CompareTo(RuledRow other) => Row.CompareTo(other.Row);
    }

    private readonly record struct Firing(int Rule, double After);
}
