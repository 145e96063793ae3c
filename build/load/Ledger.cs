using System.Diagnostics;
using System.Globalization;
using Npgsql;

namespace Platform.Load;

/// <summary>What one tenant's callers were told, held against its journal and its usage after every fault. Looks at the tables themselves, as the server's
/// superuser, and at the usage through the API.</summary>
internal sealed class Ledger(RunningPlatform platform, LoadTenant tenant, Uri url, IReadOnlyList<byte[]> bodies)
{
    private const int CallersAtOnce = 16;

    private readonly HashSet<Guid> answered = [];

    public int Failures { get; private set; }

    public static void Head()
    {
        Console.WriteLine("| fault under load | answered | refused | broken connections | ready again after | all answered so far | in the journal | lost | usage | p99 | verdict |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|---|---|");
    }

    /// <summary>Strikes while callers call, and counts what is there afterwards. The fault's time is what <paramref name="strikeAsync"/> gives.</summary>
    public async Task<Told> TryAsync(string fault, Func<Task<TimeSpan>> strikeAsync)
    {
        var callers = new Callers(url, tenant.Key, bodies, CallersAtOnce);
        await Task.Delay(TimeSpan.FromSeconds(1 + Random.Shared.NextDouble()));
        var recovered = await strikeAsync();
        // Some more after it, so that the way back is under load too.
        await Task.Delay(TimeSpan.FromSeconds(1));
        var told = await callers.EndAsync();
        answered.UnionWith(told.Answered);
        var (journal, rows, units) = await JournalAsync(platform, tenant.Id);
        var lost = answered.Count(id => !journal.Contains(id));
        var usage = await tenant.UsageAsync();
        // What was written and whose answer was lost on the way is counted too: it is in the journal, so usage equals the journal, not the answers.
        var good = lost == 0 && usage == units && rows == journal.Count;
        if (!good) Failures++;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"| {fault} | {told.Answered.Count:N0} | {told.Refused:N0} | {told.Broken:N0} | {recovered.TotalSeconds:F1} s | {answered.Count:N0} | {journal.Count:N0} | {lost} | {usage:N0} | {told.At(.99):F0} ms | {(good ? "good" : "BAD")} |"));
        return told;
    }

    /// <summary>Something else that must hold; says so when it does not.</summary>
    public void Must(bool holds, string sentence)
    {
        if (holds) return;
        Failures++;
        Console.WriteLine($"\nBAD: {sentence}\n");
    }

    /// <summary>The time until the platform is ready.</summary>
    public static async Task<TimeSpan> ReadyAsync(RunningPlatform platform, Func<bool>? before = null)
    {
        var began = Stopwatch.GetTimestamp();
        while (before?.Invoke() is true || !await platform.IsReadyAsync())
        {
            if (Stopwatch.GetElapsedTime(began) > TimeSpan.FromMinutes(2)) throw new TimeoutException($"The platform did not recover:\n{platform.Output}");
            await Task.Delay(20);
        }

        return Stopwatch.GetElapsedTime(began);
    }

    public static async Task<(HashSet<Guid> Ids, long Rows, long Units)> JournalAsync(RunningPlatform platform, string tenant)
    {
        var connection = new NpgsqlConnectionStringBuilder
        {
            Host = Path.Combine(platform.Data, "run"),
            Username = "postgres",
            Password = (await File.ReadAllTextAsync(Path.Combine(platform.Data, "secrets", "postgres-superuser"))).Trim(),
            Database = "platform",
            Pooling = false,
        };
        await using var database = new NpgsqlConnection(connection.ConnectionString);
        await database.OpenAsync();
        await using var look = new NpgsqlCommand("select id, units from inference.predictions where tenant_id = $1", database) { Parameters = { new() { Value = tenant } } };
        await using var reader = await look.ExecuteReaderAsync();
        HashSet<Guid> ids = [];
        var (rows, units) = (0L, 0L);
        while (await reader.ReadAsync())
        {
            ids.Add(reader.GetGuid(0));
            rows++;
            units += reader.GetInt32(1);
        }

        return (ids, rows, units);
    }
}
