using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Platform.Inference.Predict.Journal;
using Platform.Testing;

namespace Inference.Tests.Journal;

public sealed class JournalWriterTests
{
    [Fact]
    public async Task What_was_answered_is_in_the_journal_and_counted_to_the_unit()
    {
        await using var database = await JournalDatabase.CreateAsync();
        using var journal = await StartAsync(database);
        var units = 0;
        await Task.WhenAll(Enumerable.Range(0, 20).Select(async caller =>
        {
            for (var i = 0; i < 50; i++)
            {
                (await journal.WriteAsync(journal.Entry($"t{caller % 3}", 1 + (i % 4), endpoint: $"e{i % 2}"))).ShouldBe(JournalOutcome.Committed);
                Interlocked.Add(ref units, 1 + (i % 4));
            }
        }));
        long rows = 0, usage = 0;
        foreach (var tenant in new[] { "t0", "t1", "t2" })
        {
            rows += await database.RowsAsync(tenant);
            usage += await database.UsageAsync(tenant);
            (await database.AskAsync<long>(tenant, "select sum(units)::bigint from inference.predictions")).ShouldBe(await database.UsageAsync(tenant));
        }
        (rows, usage).ShouldBe((1000, units));
        await journal.StopAsync(default);
    }

    [Fact]
    public async Task A_row_reads_back_as_it_was_written()
    {
        await using var database = await JournalDatabase.CreateAsync();
        using var journal = await StartAsync(database);
        var id = Guid.CreateVersion7();
        await journal.WriteAsync(journal.Entry("t", 4, inputs: """{"city": "Zürich \u0000 🏠", "size": 1e300}""", id: id));
        (await database.AskAsync<string>("t", $"select inputs::text from inference.predictions where id = '{id}'")).ShouldBe("""{"city": "Zürich \u0000 🏠", "size": 1e300}""");
        (await database.AskAsync<DateTime>("t", "select created_at from inference.predictions")).ShouldBe(JournalEntry.TimeOf(id).UtcDateTime);
        (await database.AskAsync<string>("t", "select concat_ws('|', endpoint, model, model_version, plan_version, dialect, units, price_class, caller, parse_us, features_us, queue_us, run_us, outputs, features is null, intervals is null) from inference.predictions"))
            .ShouldBe("houses|model|3|2|predict|4|standard@1|key:abc|10|0|5|7|[1.5]|t|t");
        await journal.StopAsync(default);
    }

    [Fact]
    public async Task One_poisonous_row_fails_alone()
    {
        await using var database = await JournalDatabase.CreateAsync();
        using var journal = Make(database, new JournalOptions { Writers = 1 });
        // Queued before the writer starts, so that all are one batch.
        List<JournalEntry> entries = [.. Enumerable.Range(0, 33).Select(i => journal.Entry("t", inputs: i is 7 or 20 ? "this is no json" : "{}"))];
        entries.ForEach(entry => journal.TryWrite(entry).ShouldBeTrue());
        await journal.StartAsync(default);
        var outcomes = new List<JournalOutcome>();
        foreach (var entry in entries) outcomes.Add(await entry.Outcome);
        outcomes.Count(outcome => outcome is JournalOutcome.Rejected).ShouldBe(2);
        (outcomes[7], outcomes[20]).ShouldBe((JournalOutcome.Rejected, JournalOutcome.Rejected));
        (await database.RowsAsync("t")).ShouldBe(31);
        (await database.UsageAsync("t")).ShouldBe(31);
        await journal.StopAsync(default);
    }

    [Fact]
    public async Task A_row_written_before_is_not_counted_again()
    {
        await using var database = await JournalDatabase.CreateAsync();
        using var journal = await StartAsync(database);
        var id = Guid.CreateVersion7();
        (await journal.WriteAsync(journal.Entry("t", id: id))).ShouldBe(JournalOutcome.Committed);
        (await journal.WriteAsync(journal.Entry("t", id: id))).ShouldBe(JournalOutcome.Committed);
        (await database.UsageAsync("t")).ShouldBe(1);
        await journal.StopAsync(default);
    }

    [Fact]
    public async Task Rows_of_two_months_go_to_two_partitions_and_two_days_of_usage()
    {
        await using var database = await JournalDatabase.CreateAsync();
        using var journal = Make(database, new JournalOptions { Writers = 1 });
        var end = new DateTimeOffset(2031, 1, 31, 23, 59, 59, 999, TimeSpan.Zero);
        List<JournalEntry> entries = [journal.Entry("t", at: end), journal.Entry("t", at: end.AddMilliseconds(1)), journal.Entry("t", at: end.AddMilliseconds(2))];
        entries.ForEach(entry => journal.TryWrite(entry).ShouldBeTrue());
        await journal.StartAsync(default);
        foreach (var entry in entries) (await entry.Outcome).ShouldBe(JournalOutcome.Committed);
        (await database.AskAsync<string>("t", "select string_agg(day || ' ' || predictions, ', ' order by day) from inference.journal_usage")).ShouldBe("2031-01-31 1, 2031-02-01 2");
        await using var partition = database.Owner.CreateCommand("select count(*) from inference.predictions_2031_02");
        (await partition.ExecuteScalarAsync()).ShouldBe(2L);
        await journal.StopAsync(default);
    }

    [Fact]
    public async Task What_is_queued_at_the_end_is_still_written()
    {
        await using var database = await JournalDatabase.CreateAsync();
        using var journal = await StartAsync(database);
        for (var i = 0; i < 500; i++) journal.TryWrite(journal.Entry("t", durable: false)).ShouldBeTrue();
        await journal.StopAsync(default);
        (await database.RowsAsync("t")).ShouldBe(500);
        journal.Closed(durable: true)!.Code.ShouldBe("stopping");
    }

    [Fact]
    public async Task A_full_queue_refuses_with_a_time_to_come_back()
    {
        await using var database = await JournalDatabase.CreateAsync();
        using var journal = Make(database, new JournalOptions { MaxQueued = 2 });
        journal.TryWrite(journal.Entry("t", durable: false)).ShouldBeTrue();
        journal.TryWrite(journal.Entry("t", durable: false)).ShouldBeTrue();
        journal.TryWrite(journal.Entry("t", durable: false)).ShouldBeFalse();
        var refusal = journal.Closed(durable: false)!;
        (refusal.Code, refusal.RetryAfter).ShouldBe(("journal-full", TimeSpan.FromSeconds(1)));
        await journal.StartAsync(default);
        await journal.StopAsync(default);
        (await database.RowsAsync("t")).ShouldBe(2);
    }

    [Fact]
    public async Task With_the_database_away_durable_callers_are_refused_and_buffered_rows_wait_for_it()
    {
        await using var database = await JournalDatabase.CreateAsync();
        using var journal = await StartAsync(database);
        await journal.WriteAsync(journal.Entry("t"));
        await CloseDoorAsync(database, closed: true);

        (await journal.WriteAsync(journal.Entry("t"))).ShouldBe(JournalOutcome.NotRecorded);
        journal.TryWrite(journal.Entry("t", units: 5, durable: false)).ShouldBeTrue();
        journal.Closed(durable: true)!.Code.ShouldBe("journal-unavailable");
        journal.Closed(durable: false).ShouldBeNull();

        await CloseDoorAsync(database, closed: false);
        await Eventually.BecomesAsync("the buffered row", () => database.UsageAsync("t"), usage => usage == 6);
        journal.Closed(durable: true).ShouldBeNull();
        await journal.StopAsync(default);
    }

    [Fact]
    public async Task A_database_that_has_no_room_stays_closed_until_it_has_and_nobodys_prediction_is_used_to_find_out()
    {
        await using var database = await JournalDatabase.CreateAsync();
        using var journal = await StartAsync(database);
        await journal.WriteAsync(journal.Entry("t"));
        // What PostgreSQL says when the disk is full, for rows and for the table that is tried before rows are taken again.
        foreach (var sql in new[]
        {
            "create sequence attempts",
            "grant usage on sequence attempts to public",
            "create function full_rows() returns trigger language plpgsql as $$ begin raise exception using errcode = '53100', message = 'could not extend file'; end $$",
            "create function full_table() returns event_trigger language plpgsql as $$ begin perform nextval('public.attempts'); raise exception using errcode = '53100', message = 'could not extend file'; end $$",
            $"create trigger full_rows before insert on inference.predictions_{DateTime.UtcNow:yyyy_MM} for each row execute function full_rows()",
            "create event trigger full_table on ddl_command_start when tag in ('CREATE TABLE AS') execute function full_table()",
        }) await JournalDatabase.ExecuteAsync(database.Superuser, sql);

        (await journal.WriteAsync(journal.Entry("t"))).ShouldBe(JournalOutcome.NotRecorded);
        journal.TryWrite(journal.Entry("t", units: 5, durable: false)).ShouldBeTrue();
        await Eventually.BecomesAsync("three attempts", () => ScalarAsync(database, "select last_value from attempts"), attempts => attempts >= 3);
        journal.IsDown.ShouldBeTrue();
        journal.Closed(durable: true)!.Code.ShouldBe("journal-unavailable");

        await JournalDatabase.ExecuteAsync(database.Superuser, $"drop trigger full_rows on inference.predictions_{DateTime.UtcNow:yyyy_MM}");
        await JournalDatabase.ExecuteAsync(database.Superuser, "drop event trigger full_table");
        await Eventually.BecomesAsync("the buffered row", () => database.UsageAsync("t"), usage => usage == 6);
        await Eventually.BecomesAsync("the journal to open", () => Task.FromResult(journal.IsDown), down => !down);
        (await journal.WriteAsync(journal.Entry("t"))).ShouldBe(JournalOutcome.Committed);
        await journal.StopAsync(default);
    }

    [Fact]
    public async Task A_commit_whose_answer_was_lost_is_looked_up_and_never_counted_twice()
    {
        await using var database = await JournalDatabase.CreateAsync();
        using var journal = Make(database, new JournalOptions { Writers = 1 });
        // Each commit waits for a lock that is held here, so that the connection can be cut under it.
        await using var hold = await database.Superuser.OpenConnectionAsync();
        await using (var take = new NpgsqlCommand("select pg_advisory_lock(1)", hold)) await take.ExecuteNonQueryAsync();
        await JournalDatabase.ExecuteAsync(database.Superuser, "create function slow() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(1); return null; end $$");
        await JournalDatabase.ExecuteAsync(database.Superuser, $"create trigger slow after insert on inference.predictions_{DateTime.UtcNow:yyyy_MM} for each statement execute function slow()");
        await journal.StartAsync(default);
        foreach (var durable in new[] { true, false })
        {
            var entry = journal.Entry("t", durable: durable);
            journal.TryWrite(entry).ShouldBeTrue();
            await Eventually.BecomesAsync("the commit to be under way", () => ScalarAsync(database,
                "select count(*) from pg_stat_activity where query like 'copy inference%' and state = 'active' and wait_event = 'advisory' and datname = current_database()"), count => count == 1);
            await ScalarAsync(database, "select count(pg_terminate_backend(pid)) from pg_stat_activity where query like 'copy inference%' and datname = current_database()");
            if (durable) (await entry.Outcome).ShouldBe(JournalOutcome.NotRecorded);
        }
        await using (var letGo = new NpgsqlCommand("select pg_advisory_unlock(1)", hold)) await letGo.ExecuteNonQueryAsync();
        await Eventually.BecomesAsync("the buffered row alone", () => database.UsageAsync("t"), usage => usage == 1);
        (await database.RowsAsync("t")).ShouldBe(1);
        await journal.StopAsync(default);
    }

    [PostgresProgramsFact]
    public async Task Killing_the_server_under_load_loses_and_doubles_nothing_that_was_answered()
    {
        using var cluster = new TestCluster();
        await using var database = await JournalDatabase.CreateAsync(cluster.ConnectionString);
        using var journal = await StartAsync(database);
        var answered = new ConcurrentBag<Guid>();
        var refused = new ConcurrentBag<Guid>();
        using var enough = new CancellationTokenSource();
        var callers = Enumerable.Range(0, 16).Select(caller => Task.Run(async () =>
        {
            while (!enough.IsCancellationRequested)
            {
                if (journal.Closed(durable: true) is not null)
                {
                    await Task.Delay(1);
                    continue;
                }
                var entry = journal.Entry("t");
                var id = entry.Id;
                var outcome = await journal.WriteAsync(entry);
                (outcome is JournalOutcome.Committed ? answered : refused).Add(id);
                outcome.ShouldBeOneOf(JournalOutcome.Committed, JournalOutcome.NotRecorded);
            }
        })).ToArray();
        for (var kill = 0; kill < 3; kill++)
        {
            var so = answered.Count;
            await Eventually.BecomesAsync("answers", () => Task.FromResult(answered.Count), count => count > so + 300);
            cluster.Kill();
            cluster.Start();
        }
        var after = answered.Count;
        await Eventually.BecomesAsync("answers after the last recovery", () => Task.FromResult(answered.Count), count => count > after + 300);
        await enough.CancelAsync();
        await Task.WhenAll(callers);
        await journal.StopAsync(default);
        database.Superuser.Clear();
        database.App.Clear();

        var there = new HashSet<Guid>();
        await using (var all = database.Superuser.CreateCommand("select id from inference.predictions"))
        await using (var reader = await all.ExecuteReaderAsync())
        {
            while (await reader.ReadAsync()) there.Add(reader.GetGuid(0)).ShouldBeTrue();
        }
        answered.ShouldAllBe(id => there.Contains(id));
        refused.ShouldAllBe(id => !there.Contains(id));
        (await database.UsageAsync("t")).ShouldBe(answered.Count);
    }

    private static Task<JournalWriter> StartAsync(JournalDatabase database) => StartAsync(Make(database, new JournalOptions()));

    private static async Task<JournalWriter> StartAsync(JournalWriter journal)
    {
        await journal.StartAsync(default);
        return journal;
    }

    private static JournalWriter Make(JournalDatabase database, JournalOptions options) => new(database.App, options, TimeProvider.System, NullLogger<JournalWriter>.Instance);

    private static async Task<long> ScalarAsync(JournalDatabase database, string sql)
    {
        await using var command = database.Superuser.CreateCommand(sql);
        return (long)(await command.ExecuteScalarAsync())!;
    }

    /// <summary>Lets the application's role in or not, and throws out who is in.</summary>
    private static async Task CloseDoorAsync(JournalDatabase database, bool closed)
    {
        var app = new NpgsqlConnectionStringBuilder(database.App.ConnectionString).Username;
        await JournalDatabase.ExecuteAsync(database.Superuser, $"alter role {app} {(closed ? "nologin" : "login")}");
        if (closed) await ScalarAsync(database, $"select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = '{app}'");
    }
}
