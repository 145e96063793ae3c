using System.Runtime.InteropServices;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.ObjectPool;
using Npgsql;
using NpgsqlTypes;
using Platform.Kernel;

namespace Platform.Inference.Predict.Journal;

/// <summary>How the journal is written.</summary>
internal sealed record JournalOptions
{
    /// <summary>Writers, each with a connection and a thread of its own. A second one fills its batch while the first waits for the disk. One more is kept
    /// for the few rows of tenants that write little.</summary>
    public int Writers { get; init; } = 2;

    /// <summary>Predictions that may wait to be written; more are refused with 503.</summary>
    public int MaxQueued { get; init; } = 20_000;

    /// <summary>Bytes that may wait to be written.</summary>
    public long MaxQueuedBytes { get; init; } = 256L << 20;

    /// <summary>How long a caller is kept waiting when the connection was lost at the commit, before it is told that the outcome is not known.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Pause between attempts to reach a database that does not answer.</summary>
    public TimeSpan RetryPause { get; init; } = TimeSpan.FromMilliseconds(250);
}

/// <summary>Writes the journal in group commits: whatever has come together while the last batch went to disk is the next batch.
/// A durable caller is answered after its commit. A buffered one is answered at once, and its row waits in memory: it is kept through
/// an outage of the database, and lost if the process dies first. No row is ever written twice: after a commit that got no answer, the
/// writer looks in the journal before it does anything else.</summary>
internal sealed partial class JournalWriter : IHostedService, IDisposable
{
    private const long BatchBytes = 8 << 20;

    private static readonly byte[] CopyHeader = [.. "PGCOPY\n"u8, 0xFF, .. "\r\n\0"u8, 0, 0, 0, 0, 0, 0, 0, 0];
    private static readonly byte[] CopyTrailer = [0xFF, 0xFF];

    private readonly NpgsqlDataSource database;
    private readonly JournalOptions options;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly JournalQueue queue;
    private readonly ObjectPool<JournalEntry> pool = new DefaultObjectPool<JournalEntry>(new DefaultPooledObjectPolicy<JournalEntry>(), 4096);
    private readonly CancellationTokenSource giveUp = new();
    private Task[] writers = [];
    private volatile bool down;

    /// <summary>The database answers and cannot write: its disk is full, or it is read-only.</summary>
    private volatile bool refuses;
    private volatile bool closed;
    private long committed;

    public JournalWriter(NpgsqlDataSource database, JournalOptions options, TimeProvider time, ILogger<JournalWriter> log)
    {
        (this.database, this.options, this.time, this.log) = (database, options, time, log);
        queue = new JournalQueue(options.MaxQueued, options.MaxQueuedBytes);
    }

    /// <summary>Whether the database could not be written to at the last attempt.</summary>
    public bool IsDown => down;

    /// <summary>Entries waiting to be written.</summary>
    public int Queued => queue.Unfinished;

    /// <summary>Entries written since the start.</summary>
    public long Committed => Interlocked.Read(ref committed);

    /// <summary>Why a prediction should not even be computed now; null when it may.</summary>
    public Refusal? Closed(bool durable) =>
        closed ? JournalRefusals.Stopping
        : durable && down ? JournalRefusals.Down
        : queue.IsFull ? JournalRefusals.Full
        : null;

    /// <summary>An empty entry, begun.</summary>
    public JournalEntry Rent(bool durable)
    {
        var entry = pool.Get();
        entry.Begin(durable);
        return entry;
    }

    /// <summary>Gives back an entry that is not to be written, or whose outcome has been read.</summary>
    public void Return(JournalEntry entry)
    {
        entry.Recycle();
        pool.Return(entry);
    }

    /// <summary>Hands the entry over. False when there is no room; then it is still the caller's. A buffered entry is no longer the caller's after this;
    /// a durable one is again once its <see cref="JournalEntry.Outcome"/> is there.</summary>
    public bool TryWrite(JournalEntry entry) => queue.TryAdd(entry);

    public Task StartAsync(CancellationToken cancellationToken)
    {
        writers = [.. Enumerable.Range(0, options.Writers + 1).Select(i =>
            Task.Factory.StartNew(() => new Lane(this, ofLight: i == options.Writers).Run(), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default))];
        return Task.CompletedTask;
    }

    /// <summary>Takes no more and writes what is queued; when the token says it is time, what is left is refused or lost.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        closed = true;
        queue.Close();
        try
        {
            await Task.WhenAll(writers).WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            await giveUp.CancelAsync();
            await Task.WhenAll(writers);
        }
    }

    public void Dispose()
    {
        giveUp.Dispose();
        queue.Dispose();
    }

    private void Finish(JournalEntry entry, JournalOutcome outcome)
    {
        queue.Finished(entry);
        if (outcome is JournalOutcome.Committed) Interlocked.Increment(ref committed);
        // What may be in the journal is the journal's to count.
        if (outcome is JournalOutcome.Committed or JournalOutcome.Unknown) entry.Quota.Settle();
        else entry.Quota.GiveBack();
        if (entry.Durable) JournalAnswers.Queue([entry], outcome);
        else Return(entry);
    }

    /// <summary>A batch is on disk. Its callers go on a few to a work item: waking a thread for each would cost more than what they have left to do.</summary>
    private void OnDisk(List<JournalEntry> rows)
    {
        Interlocked.Add(ref committed, rows.Count);
        foreach (var row in rows)
        {
            queue.Finished(row);
            row.Quota.Settle();
        }
        // A row that was given back may be a durable one of somebody else's a moment later, so each is looked at once only.
        rows.RemoveAll(row =>
        {
            if (row.Durable) return false;
            Return(row);
            return true;
        });
        for (var i = 0; i < rows.Count; i += JournalAnswers.Callers)
        {
            JournalAnswers.Queue([.. CollectionsMarshal.AsSpan(rows)[i..Math.Min(i + JournalAnswers.Callers, rows.Count)]], JournalOutcome.Committed);
        }
    }

    /// <summary>One writer: a thread that blocks, because its commits must not queue behind the requests that wait for them.</summary>
    private sealed class Lane(JournalWriter journal, bool ofLight)
    {
        private readonly List<JournalEntry> batch = [];

        /// <summary>Whose rows were taken; the rows themselves may be somebody else's by the end.</summary>
        private readonly List<string> taken = [];

        /// <summary>Buffered rows that are not in the journal yet.</summary>
        private readonly List<JournalEntry> kept = [];

        /// <summary>Rows whose commit got no answer.</summary>
        private readonly List<JournalEntry> unsure = [];

        private long unsureSince;
        private int unsureBackend;
        private NpgsqlConnection? connection;

        /// <summary>The server's process behind the connection; a lost connection can no longer be asked.</summary>
        private int backend;
        private DateOnly partitionsUntil;

        /// <summary>The statement for the month that was written last, so that it is not made for every commit.</summary>
        private DateOnly copyOf;
        private string copyInto = "";

        public void Run()
        {
            while (true)
            {
                var idle = kept.Count == 0 && unsure.Count == 0 && !journal.down;
                var wait = idle ? Timeout.InfiniteTimeSpan : journal.options.RetryPause;
                var open = ofLight ? journal.queue.TakeLight(batch, BatchBytes, wait) : journal.queue.Take(batch, BatchBytes, wait);
                taken.Clear();
                foreach (var entry in batch) taken.Add(entry.Tenant);
                if (!open)
                {
                    if (kept.Count == 0 && unsure.Count == 0) break;
                    journal.giveUp.Token.WaitHandle.WaitOne(journal.options.RetryPause);
                }
                if (journal.giveUp.IsCancellationRequested) break;
                try
                {
                    Round();
                }
                catch (Exception failure)
                {
                    // A writer that died would leave every later caller waiting.
                    LogBroken(journal.log, failure);
                    Refuse(batch);
                }
                journal.queue.Written(CollectionsMarshal.AsSpan(taken));
            }
            Abandon();
            connection?.Dispose();
        }

        private void Round()
        {
            if (!Connected())
            {
                Refuse(batch);
                LoseResolvePatience();
                return;
            }
            if (unsure.Count > 0 && !Resolved())
            {
                Refuse(batch);
                LoseResolvePatience();
                return;
            }
            if (kept.Count > 0)
            {
                batch.InsertRange(0, kept);
                kept.Clear();
            }
            while (batch.Count > 0)
            {
                // One month, one partition, one COPY; on all but one evening a month that is the whole batch.
                var month = Month(batch[0]);
                if (batch.TrueForAll(entry => Month(entry) == month))
                {
                    Write(batch);
                    break;
                }
                var rows = batch.FindAll(entry => Month(entry) == month);
                batch.RemoveAll(entry => Month(entry) == month);
                Write(rows);
            }
            batch.Clear();
        }

        /// <summary>A COPY outside a transaction is one of its own, the tally's trigger included: all of it or nothing, in two round trips.</summary>
        private void Write(List<JournalEntry> rows)
        {
            if (connection is not { } open)
            {
                Refuse(rows);
                return;
            }
            var sent = false;
            try
            {
                var month = Month(rows[0]);
                if (month > partitionsUntil) EnsurePartitions(open, month);
                if (month != copyOf) (copyOf, copyInto) = (month, $"copy inference.predictions_{month:yyyy_MM} ({JournalEntry.Columns}) from stdin (format binary)");
                var copy = open.BeginRawBinaryCopy(copyInto);
                copy.WriteTimeout = copy.ReadTimeout = (int)journal.options.Patience.TotalMilliseconds;
                copy.Write(CopyHeader);
                foreach (var row in rows) copy.Write(row.Bytes);
                copy.Write(CopyTrailer);
                copy.Flush();
                sent = true;
                copy.Dispose();
                journal.down = journal.refuses = false;
                journal.OnDisk(rows);
            }
            catch (PostgresException failure) when (!IsLosingConnection(failure))
            {
                NotCommitted(rows, failure);
            }
            catch (Exception failure)
            {
                Disconnect(failure);
                if (!sent)
                {
                    Refuse(rows);
                    return;
                }
                (unsureSince, unsureBackend) = (journal.time.GetTimestamp(), backend);
                unsure.AddRange(rows);
            }
        }

        /// <summary>The database said no, so nothing of the batch is there. If it is one row's fault, halving the batch finds that row;
        /// if the server cannot write at all (disk full, read-only), nobody's row is at fault.</summary>
        private void NotCommitted(List<JournalEntry> rows, PostgresException failure)
        {
            var rowsFault = failure.SqlState[..2] is "22" or "23" or "54";
            if (!rowsFault)
            {
                if (!journal.refuses) LogRefused(journal.log, failure.SqlState, failure.MessageText);
                journal.refuses = true;
                Disconnect(failure);
                Refuse(rows);
            }
            else if (rows.Count == 1)
            {
                // Already there means that an earlier commit of it did happen.
                var there = failure.SqlState == PostgresErrorCodes.UniqueViolation;
                if (!there) LogPoison(journal.log, rows[0].Id, failure.SqlState, failure.MessageText);
                journal.Finish(rows[0], there ? JournalOutcome.Committed : JournalOutcome.Rejected);
            }
            else
            {
                var half = rows.Count / 2;
                Write(rows[..half]);
                Write(rows[half..]);
            }
        }

        /// <summary>Looks which of the unsure rows are in the journal. False when that cannot be told yet.</summary>
        private bool Resolved()
        {
            try
            {
                // The lost connection's server process may still be about to commit; only when it is gone does "not there" mean "never".
                if (IsAlive(unsureBackend)) return false;
                using var look = new NpgsqlCommand("select inference.journal_has($1, $2, $3)", connection)
                {
                    Parameters =
                    {
                        new() { Value = unsure.Select(entry => entry.Id).ToArray() },
                        new() { Value = unsure.Min(entry => entry.CreatedAt), NpgsqlDbType = NpgsqlDbType.TimestampTz },
                        new() { Value = unsure.Max(entry => entry.CreatedAt), NpgsqlDbType = NpgsqlDbType.TimestampTz },
                    },
                };
                var there = new HashSet<Guid>();
                using (var reader = look.ExecuteReader())
                {
                    while (reader.Read()) there.Add(reader.GetGuid(0));
                }
                LogResolved(journal.log, unsure.Count, there.Count);
                var (done, missing) = (unsure.FindAll(entry => there.Contains(entry.Id)), unsure.FindAll(entry => !there.Contains(entry.Id)));
                unsure.Clear();
                foreach (var entry in done) journal.Finish(entry, JournalOutcome.Committed);
                Refuse(missing);
                return true;
            }
            catch (Exception failure)
            {
                Disconnect(failure);
                return false;
            }
        }

        private bool IsAlive(int backend)
        {
            using var command = new NpgsqlCommand(
                "select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and usename = current_user and pid <> pg_backend_pid()", connection)
            {
                Parameters = { new() { Value = backend } },
            };
            return command.ExecuteScalar() is not null;
        }

        private bool Connected()
        {
            if (connection is not null) return true;
            NpgsqlConnection? opening = null;
            try
            {
                opening = journal.database.OpenConnection();
                EnsurePartitions(opening, Today());
                if (journal.refuses) TryToWrite(opening);
                (connection, backend) = (opening, opening.ProcessID);
                if (journal.down) LogBack(journal.log);
                journal.down = journal.refuses = false;
                return true;
            }
            catch (Exception failure) when (failure is NpgsqlException or TimeoutException or System.Net.Sockets.SocketException or IOException)
            {
                if (opening is not null && !ReferenceEquals(opening, connection)) opening.Dispose();
                Disconnect(failure);
                return false;
            }
        }

        /// <summary>Whether there is room again is found out on some megabytes that are gone right after, and not on a caller's prediction.</summary>
        private static void TryToWrite(NpgsqlConnection open)
        {
            using var write = new NpgsqlCommand("create temporary table room on commit drop as select repeat('x', 1000) as filler from generate_series(1, 4000)", open);
            try
            {
                write.ExecuteNonQuery();
            }
            catch (PostgresException failure) when (failure.SqlState == PostgresErrorCodes.InsufficientPrivilege)
            {
                // A database that lets nobody have temporary tables; the next prediction will tell.
            }
        }

        private void EnsurePartitions(NpgsqlConnection open, DateOnly from)
        {
            using var ensure = new NpgsqlCommand("select inference.ensure_partitions(2, $1)", open) { Parameters = { new() { Value = from } } };
            ensure.ExecuteNonQuery();
            partitionsUntil = from.AddMonths(1);
        }

        private void Disconnect(Exception failure)
        {
            if (!journal.down) LogDown(journal.log, failure);
            journal.down = true;
            try
            {
                connection?.Dispose();
            }
            catch (Exception)
            {
                // It is lost already.
            }
            connection = null;
        }

        /// <summary>These rows are not in the journal: durable callers are told so, buffered rows wait for the database to come back.</summary>
        private void Refuse(List<JournalEntry> rows)
        {
            foreach (var entry in rows)
            {
                if (entry.Durable) journal.Finish(entry, JournalOutcome.NotRecorded);
                else kept.Add(entry);
            }
            if (ReferenceEquals(rows, batch)) batch.Clear();
        }

        private void LoseResolvePatience()
        {
            if (unsure.Count == 0 || journal.time.GetElapsedTime(unsureSince) < journal.options.Patience) return;
            foreach (var entry in unsure.FindAll(entry => entry.Durable)) journal.Finish(entry, JournalOutcome.Unknown);
            unsure.RemoveAll(entry => entry.Durable);
        }

        /// <summary>The end, with no more time: nobody may be left waiting, and what is lost is said.</summary>
        private void Abandon()
        {
            Refuse(batch);
            foreach (var entry in unsure.FindAll(entry => entry.Durable)) journal.Finish(entry, JournalOutcome.Unknown);
            var lost = kept.Count + unsure.Count(entry => !entry.Durable);
            if (lost > 0) LogLost(journal.log, lost);
        }

        private DateOnly Today() => DateOnly.FromDateTime(journal.time.GetUtcNow().UtcDateTime);

        private static DateOnly Month(JournalEntry entry) => new(entry.CreatedAt.Year, entry.CreatedAt.Month, 1);

        /// <summary>The server is going away and says so; whether our commit came before is as open as when it says nothing.</summary>
        private static bool IsLosingConnection(PostgresException failure) => failure.SqlState.StartsWith("57P", StringComparison.Ordinal) || failure.SqlState.StartsWith("08", StringComparison.Ordinal);
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The prediction journal cannot be written: the database does not answer. Durable predictions are refused until it does.")]
    private static partial void LogDown(ILogger log, Exception failure);

    [LoggerMessage(Level = LogLevel.Error, Message = "The prediction journal cannot be written: the database refuses with {SqlState}: {Text}.")]
    private static partial void LogRefused(ILogger log, string sqlState, string text);

    [LoggerMessage(Level = LogLevel.Information, Message = "The prediction journal is being written again.")]
    private static partial void LogBack(ILogger log);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Of {Unsure} predictions whose commit got no answer, {There} are in the journal.")]
    private static partial void LogResolved(ILogger log, int unsure, int there);

    [LoggerMessage(Level = LogLevel.Error, Message = "The database refused prediction {Id} alone with {SqlState}: {Text}.")]
    private static partial void LogPoison(ILogger log, Guid id, string sqlState, string text);

    [LoggerMessage(Level = LogLevel.Error, Message = "A round of the journal's writer failed.")]
    private static partial void LogBroken(ILogger log, Exception failure);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Lost} buffered predictions were answered and could not be written before the end.")]
    private static partial void LogLost(ILogger log, int lost);
}

/// <summary>Lets callers go on who waited for a commit, on a thread of the pool and one after the other.</summary>
internal sealed class JournalAnswers(JournalEntry[] entries, JournalOutcome outcome) : IThreadPoolWorkItem
{
    /// <summary>How many go on behind one another.</summary>
    public const int Callers = 8;

    public static void Queue(JournalEntry[] entries, JournalOutcome outcome) => ThreadPool.UnsafeQueueUserWorkItem(new JournalAnswers(entries, outcome), preferLocal: false);

    public void Execute()
    {
        foreach (var entry in entries) entry.Resolve(outcome);
    }
}

/// <summary>What callers are told when the journal cannot take their prediction.</summary>
internal static class JournalRefusals
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(1);

    public static readonly Refusal Full = new(RefusalKind.Unavailable, "journal-full",
        "More predictions are being made than can be written down; this one was not made and is not billed.", null, "Try again in a second.")
    { RetryAfter = Soon };

    public static readonly Refusal Down = new(RefusalKind.Unavailable, "journal-unavailable",
        "The prediction journal cannot be written right now; this prediction is not recorded and not billed.", null, "Try again in a few seconds.")
    { RetryAfter = Soon };

    public static readonly Refusal Stopping = new(RefusalKind.Unavailable, "stopping",
        "This server is shutting down.", null, "Try again; another one will answer.")
    { RetryAfter = Soon };

    public static Refusal Unknown(Guid id) => new(RefusalKind.Unavailable, "journal-outcome-unknown",
        $"The connection to the database was lost while prediction {id} was being written, and it is not known yet whether it was.", null,
        $"Look for it at /api/v1/inference/predictions/{id}; if it is not there, it was not billed, and you can ask again.")
    { RetryAfter = Soon };

    public static Refusal Rejected(Guid id) => Refusal.Invalid("journal-rejected",
        $"Prediction {id} cannot be written down because of what is in its inputs; it is not billed.", null, "Leave out unusual characters, or send smaller inputs.");

    public static Refusal? Of(JournalOutcome outcome, Guid id) => outcome switch
    {
        JournalOutcome.Committed => null,
        JournalOutcome.NotRecorded => Down,
        JournalOutcome.Rejected => Rejected(id),
        _ => Unknown(id),
    };
}
