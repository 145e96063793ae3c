using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Platform.Features.Datasets.Csv;

/// <summary>Counts a column's distinct values, up to a limit, and as long as all columns together stay within their memory.</summary>
internal sealed class DistinctValues(int most, CountingMemory memory)
{
    private const int LongestKey = 256;

    private Dictionary<string, long>? rows = new(StringComparer.Ordinal);

    /// <summary>How many there are; one more than the limit when there are more, or more than memory allowed to count.</summary>
    public int Count => rows?.Count ?? most + 1;

    /// <summary>Characters held.</summary>
    public long Held { get; private set; }

    public void Add(ReadOnlySpan<char> value)
    {
        if (rows is null) return;
        if (value.Length > LongestKey) value = $"{Cell.Shorten(value, 200)} {Convert.ToHexString(SHA256.HashData(MemoryMarshal.AsBytes(value)))}";
        ref var count = ref CollectionsMarshal.GetValueRefOrAddDefault(rows.GetAlternateLookup<ReadOnlySpan<char>>(), value, out var known);
        count++;
        if (known) return;
        if (rows.Count > most) Forget();
        else
        {
            // About what an entry costs beside its characters.
            var cost = value.Length + 40;
            Held += cost;
            memory.Take(cost);
        }
    }

    public void Forget()
    {
        rows = null;
        memory.Take(-Held);
        Held = 0;
    }

    public IReadOnlyList<ValueCount> Top(int count) => rows is null ? [] :
    [
        .. rows.OrderByDescending(row => row.Value).ThenBy(row => row.Key, StringComparer.Ordinal)
            .Take(count).Select(row => new ValueCount(row.Key, row.Value)),
    ];
}

/// <summary>The memory all columns share for counting. When it is used up the column that holds most gives up, so that a wide
/// file of long texts cannot exhaust the process and columns of few values are still counted.</summary>
internal sealed class CountingMemory(long limit)
{
    private readonly List<DistinctValues> columns = [];
    private long held;

    public DistinctValues NewColumn(int most)
    {
        columns.Add(new DistinctValues(most, this));
        return columns[^1];
    }

    public void Take(long chars)
    {
        held += chars;
        if (held > limit) columns.MaxBy(column => column.Held)!.Forget();
    }
}
