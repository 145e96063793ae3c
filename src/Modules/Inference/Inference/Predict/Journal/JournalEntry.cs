using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using System.Threading.Tasks.Sources;
using Platform.Inference.Predict.Admission;

namespace Platform.Inference.Predict.Journal;

/// <summary>What became of an entry.</summary>
internal enum JournalOutcome
{
    /// <summary>It is on disk and counted.</summary>
    Committed,
    /// <summary>It is not in the journal and never will be, because the database was not to be had.</summary>
    NotRecorded,
    /// <summary>The database refused this very row.</summary>
    Rejected,
    /// <summary>The connection was lost at the commit and did not come back in time: it may or may not be in the journal.</summary>
    Unknown,
}

/// <summary>One journal row, already in PostgreSQL's binary COPY form, so that the writer only joins bytes, and the task its caller may wait on.
/// Entries are pooled: after the outcome is read, or after a buffered one is handed over, it is somebody else's.</summary>
/// <remarks>Format: https://www.postgresql.org/docs/15/sql-copy.html, "Binary Format": a count of fields, then each as length and bytes, big-endian.
/// The order of the calls is the order of <see cref="Columns"/>.</remarks>
internal sealed class JournalEntry : IBufferWriter<byte>, IValueTaskSource<JournalOutcome>
{
    /// <summary>The order in which the fields must be written: the request's own first, because it is at hand before the rest.</summary>
    public const string Columns =
        "inputs, features, outputs, intervals, rules, tenant_id, id, created_at, endpoint, model, model_version, plan_version, dialect, units, price_class, caller, "
        + "parse_us, features_us, queue_us, run_us";

    private const short Fields = 20;
    private const int Smallest = 1024, LargestKept = 64 << 10;
    private static readonly DateTimeOffset PostgresEpoch = new(2000, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private ManualResetValueTaskSourceCore<JournalOutcome> source;
    private byte[] buffer = ArrayPool<byte>.Shared.Rent(Smallest);

    public Guid Id { get; private set; }

    public DateTimeOffset CreatedAt { get; private set; }

    /// <summary>Whose prediction it is.</summary>
    public string Tenant { get; private set; } = "";

    /// <summary>Whether the caller waits for the commit.</summary>
    public bool Durable { get; private set; }

    /// <summary>What the call took of its tenant's quota; the writer settles it with the row, or gives it back.</summary>
    public Taken Quota { get; set; }

    public int Length { get; private set; }

    public ReadOnlySpan<byte> Bytes => buffer.AsSpan(0, Length);

    /// <summary>The outcome; to be awaited once, and only by the caller of a durable entry.</summary>
    public ValueTask<JournalOutcome> Outcome => new(this, source.Version);

    public void Begin(bool durable)
    {
        source.Reset();
        Durable = durable;
        Quota = default;
        Length = 0;
        BinaryPrimitives.WriteInt16BigEndian(GetSpan(2), Fields);
        Length += 2;
    }

    public void Null() => Int(-1);

    public void Field(ReadOnlySpan<byte> bytes)
    {
        Int(bytes.Length);
        bytes.CopyTo(GetSpan(bytes.Length));
        Length += bytes.Length;
    }

    /// <summary>Begins a field whose length is not known yet; write to the entry and then call <see cref="Close"/> with the mark.</summary>
    public int Open()
    {
        Int(0);
        return Length;
    }

    public void Close(int mark) => BinaryPrimitives.WriteInt32BigEndian(buffer.AsSpan(mark - 4), Length - mark);

    public void Field(string text)
    {
        var mark = Open();
        Length += Encoding.UTF8.GetBytes(text, GetSpan(Encoding.UTF8.GetMaxByteCount(text.Length)));
        Close(mark);
    }

    public void Field(int number)
    {
        Int(4);
        Int(number);
    }

    public void TenantField(string tenant)
    {
        Tenant = tenant;
        Field(tenant);
    }

    /// <summary>The prediction's id and the moment in it, which is all the precision <c>created_at</c> has: so a row can be found by its id alone.</summary>
    public void IdAndTime(Guid id)
    {
        Span<byte> bytes = stackalloc byte[16];
        id.TryWriteBytes(bytes, bigEndian: true, out _);
        Id = id;
        CreatedAt = TimeOf(id);
        Field(bytes);
        Int(8);
        BinaryPrimitives.WriteInt64BigEndian(GetSpan(8), (CreatedAt - PostgresEpoch).Ticks / TimeSpan.TicksPerMicrosecond);
        Length += 8;
    }

    /// <summary>The millisecond a version 7 id was made in (RFC 9562, §5.7: the first 48 bits).</summary>
    public static DateTimeOffset TimeOf(Guid id)
    {
        Span<byte> bytes = stackalloc byte[16];
        id.TryWriteBytes(bytes, bigEndian: true, out _);
        var milliseconds = (long)(BinaryPrimitives.ReadUInt64BigEndian(bytes) >> 16);
        return milliseconds < 253402300800000 ? DateTimeOffset.FromUnixTimeMilliseconds(milliseconds) : DateTimeOffset.MaxValue;
    }

    /// <summary>The caller goes on on this thread, so never on a writer's: see <see cref="JournalAnswers"/>.</summary>
    public void Resolve(JournalOutcome outcome) => source.SetResult(outcome);

    /// <summary>Makes it ready for the next caller and lets go of an unusually large buffer.</summary>
    public void Recycle()
    {
        if (buffer.Length <= LargestKept) return;
        ArrayPool<byte>.Shared.Return(buffer);
        buffer = ArrayPool<byte>.Shared.Rent(Smallest);
    }

    public void Advance(int count) => Length += count;

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Room(Math.Max(sizeHint, 1));
        return buffer.AsMemory(Length);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        Room(Math.Max(sizeHint, 1));
        return buffer.AsSpan(Length);
    }

    JournalOutcome IValueTaskSource<JournalOutcome>.GetResult(short token) => source.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<JournalOutcome>.GetStatus(short token) => source.GetStatus(token);

    void IValueTaskSource<JournalOutcome>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        source.OnCompleted(continuation, state, token, flags);

    private void Int(int value)
    {
        BinaryPrimitives.WriteInt32BigEndian(GetSpan(4), value);
        Length += 4;
    }

    private void Room(int bytes)
    {
        if (buffer.Length - Length >= bytes) return;
        var larger = ArrayPool<byte>.Shared.Rent(checked(Math.Max(Length + bytes, buffer.Length * 2)));
        buffer.AsSpan(0, Length).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(buffer);
        buffer = larger;
    }
}
