using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
using Platform.Features.Contracts;
using Platform.Kernel;

namespace Platform.Features.OnlineStore;

/// <summary>Answers look-ups from memory, and from the table in one round trip when a key is not in memory. A materialisation empties the
/// view's memory on every replica through a signal. Only known keys are kept, so that made-up keys cannot push out the real ones.</summary>
internal sealed class OnlineFeatures : IOnlineFeatures, IDisposable
{
    public const string Topic = "features.online";

    /// <summary>Rows kept over all tenants and views. When it is reached memory begins anew, which costs each key one round trip.</summary>
    private const int MostRows = 200_000;

    private readonly ConcurrentDictionary<(string Tenant, string View), ConcurrentDictionary<string, IReadOnlyDictionary<string, object?>>> views = new();
    private readonly OnlineTable table;
    private readonly IDisposable subscription;
    private int held;

    /// <summary>Counts what was forgotten: values read while it moved may be out of date, and are not kept.</summary>
    private long forgotten;

    public OnlineFeatures(OnlineTable table, ISignals signals)
    {
        this.table = table;
        subscription = signals.Subscribe(Topic, Hear);
    }

    public ValueTask<IReadOnlyDictionary<string, object?>?[]> ReadAsync(string tenant, string featureView, IReadOnlyList<string> keys, CancellationToken ct)
    {
        if (!views.TryGetValue((tenant, featureView), out var known)) return new(LoadAsync(tenant, featureView, keys, ct));
        var found = new IReadOnlyDictionary<string, object?>?[keys.Count];
        for (var i = 0; i < found.Length; i++)
        {
            // All keys are read again for one that is not in memory, so that an answer is of one materialisation.
            if (!known.TryGetValue(keys[i], out var values)) return new(LoadAsync(tenant, featureView, keys, ct));
            found[i] = values;
        }

        return new(found);
    }

    public void Dispose() => subscription.Dispose();

    private async Task<IReadOnlyDictionary<string, object?>?[]> LoadAsync(string tenant, string view, IReadOnlyList<string> keys, CancellationToken ct)
    {
        var before = Interlocked.Read(ref forgotten);
        var answer = await table.ReadAsync(tenant, view, keys, ct)
            ?? throw new KeyNotFoundException($"The tenant has no materialised feature view '{view}'.");
        var known = answer.Values.ToDictionary(row => row.Key, IReadOnlyDictionary<string, object?> (row) => Values(answer.Columns, row.Value));
        if (Interlocked.Read(ref forgotten) == before)
        {
            Keep(tenant, view, known);
            if (Interlocked.Read(ref forgotten) != before) views.TryRemove((tenant, view), out _);
        }

        return [.. keys.Select(key => known.GetValueOrDefault(key))];
    }

    private void Keep(string tenant, string view, Dictionary<string, IReadOnlyDictionary<string, object?>> rows)
    {
        if (Interlocked.Add(ref held, rows.Count) > MostRows) ForgetAll();
        var known = views.GetOrAdd((tenant, view), _ => new());
        foreach (var (key, values) in rows) known[key] = values;
    }

    private void Hear(Signal signal)
    {
        if (signal.Topic == "*")
        {
            ForgetAll();
            return;
        }

        Interlocked.Increment(ref forgotten);
        if (views.TryRemove((signal.Tenant, signal.Id), out var rows)) Interlocked.Add(ref held, -rows.Count);
    }

    private void ForgetAll()
    {
        Interlocked.Increment(ref forgotten);
        views.Clear();
        Interlocked.Exchange(ref held, 0);
    }

    private static Dictionary<string, object?> Values(IReadOnlyList<OnlineColumn> columns, string json)
    {
        using var stored = JsonDocument.Parse(json);
        var values = new Dictionary<string, object?>(columns.Count);
        foreach (var column in columns) values[column.Name] = stored.RootElement.TryGetProperty(column.Name, out var value) ? Value(column.Type, value) : null;
        return values;
    }

    private static object? Value(DatasetColumnType type, JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Number => value.GetDouble(),
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        // A moment counts as its day (UTC), which is what a model's date column takes.
        JsonValueKind.String when type is DatasetColumnType.Date && value.GetString() is { Length: >= 10 } date && DateOnly.TryParseExact(date.AsSpan(0, 10), "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out var day) => day,
        JsonValueKind.String => value.GetString(),
        _ => null,
    };
}
