using System.ComponentModel;
using System.Diagnostics;
using System.Text;
using Npgsql;

namespace Platform.Host.EmbeddedPostgres;

/// <summary>
/// A PostgreSQL of the platform's own in the data folder, started, watched and stopped with the host, so that an
/// installation needs no database and nobody who runs one.
/// </summary>
internal sealed class EmbeddedServer : IAsyncDisposable
{
    private const string Database = "platform";

    // What initdb and the first logs need; with less the first start would end in the middle.
    private const long LeastFreeBytes = 256L * 1024 * 1024;

    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(30);

    private readonly Cluster _cluster;
    private readonly ServerBinaries _binaries;
    private readonly ServerAccount _account;
    private readonly DataFolderLock _lock;
    private readonly string _socketFolder;
    private readonly ILogger _log;

    private readonly Lock _gate = new();
    private readonly ManualResetEventSlim _stopping = new();
    private readonly TaskCompletionSource _watchEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _firstEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Queue<string> _lastWords = [];
    private Process? _server;
    private CountdownEvent? _drained;
    private bool _ready;

    private EmbeddedServer(Cluster cluster, ServerBinaries binaries, ServerAccount account, DataFolderLock held, string socketFolder, string? recovery, string password, ILogger log)
    {
        (_cluster, _binaries, _account, _lock, _socketFolder, _log) = (cluster, binaries, account, held, socketFolder, log);
        Recovery = recovery;
        AdminConnectionString = new NpgsqlConnectionStringBuilder
        {
            Host = socketFolder,
            Username = Cluster.SuperUser,
            Password = password,
            Database = Database,
        }.ConnectionString;
    }

    /// <summary>The cluster's superuser on the platform's database. Row-level security does not bind it: it prepares the database, and everything else runs as a lesser role.</summary>
    internal string AdminConnectionString { get; }

    /// <summary>What had gone wrong before this start and was mended by it, as a sentence for the log; null when nothing had.</summary>
    internal string? Recovery { get; }

    /// <exception cref="EmbeddedServerException">It cannot run here; the message names the mend.</exception>
    internal static async Task<EmbeddedServer> StartAsync(string dataDirectory, ILogger log, CancellationToken ct)
    {
        DataFolderLock? held = null;
        try
        {
            Directory.CreateDirectory(dataDirectory);
            // One name for one folder, however it was reached: processes of a former start are told by it.
            dataDirectory = (await Subprocess.RunAsync(["realpath", dataDirectory], ct)).Output;
            held = DataFolderLock.Take(dataDirectory);
            return await StartAsync(dataDirectory, held, log, ct);
        }
        catch (Exception e)
        {
            held?.Dispose();
            throw e switch
            {
                UnauthorizedAccessException => new EmbeddedServerException(
                    $"The data folder {dataDirectory} cannot be written by the user {Environment.UserName}: {e.Message} Give it to that user, or choose another with PLATFORM_DATA.", e),
                IOException => new EmbeddedServerException($"The data folder {dataDirectory} cannot be used: {e.Message} Mend that, or choose another with PLATFORM_DATA.", e),
                Win32Exception => new EmbeddedServerException($"A program that PostgreSQL needs beside it is missing: {e.Message} On Debian or Ubuntu: apt-get install util-linux coreutils.", e),
                _ => e,
            };
        }
    }

    private static async Task<EmbeddedServer> StartAsync(string dataDirectory, DataFolderLock held, ILogger log, CancellationToken ct)
    {
        var cluster = new Cluster(dataDirectory);
        var existing = cluster.Major;
        var free = new DriveInfo(dataDirectory).AvailableFreeSpace;
        if (existing is null && free < LeastFreeBytes)
        {
            throw new EmbeddedServerException(
                $"The disk that holds {dataDirectory} has {free / (1024 * 1024)} MB free, and a new database needs {LeastFreeBytes / (1024 * 1024)} MB. Free some, or choose another place with PLATFORM_DATA.");
        }

        var binaries = await ServerBinaries.FindAsync(dataDirectory, existing, ct);
        var account = await ServerAccount.ForAsync(cluster.Folder, ct);
        Directory.CreateDirectory(Path.GetDirectoryName(cluster.LogFolder)!);
        account.CreateFolder(cluster.LogFolder);
        await account.EnsureReachesAsync(cluster.LogFolder, ct);
        if (account.Capability is { } capability)
            log.LogInformation("PostgreSQL's user cannot pass through the folders above {Data}, so the server is lent the privilege {Capability}.", dataDirectory, capability);

        string? recovery = null;
        if (existing is null)
        {
            log.LogInformation("Laying out a new database in {Folder} with PostgreSQL {Major}.", cluster.Folder, binaries.Major);
            await cluster.InitialiseAsync(binaries, account, ct);
        }
        else
        {
            recovery = Sentence(await ServerProcesses.ClearAsync(cluster), held.AbandonedBy);
            if (recovery is not null) log.LogWarning("{Recovery}.", recovery);
        }

        var password = cluster.ReadPassword(binaries);
        var server = new EmbeddedServer(cluster, binaries, account, held, CreateSocketFolder(dataDirectory, account), recovery, password, log);
        try
        {
            await server.StartFirstAsync(ct);
        }
        catch
        {
            await server.StopAsync();
            throw;
        }

        return server;
    }

    /// <summary>Ends PostgreSQL in order and gives the data folder back; harmless when repeated.</summary>
    internal async Task StopAsync()
    {
        foreach (var (signal, patience) in ((ServerProcesses.Signal, TimeSpan)[])
            [(ServerProcesses.Signal.FastShutdown, TimeSpan.FromSeconds(30)), (ServerProcesses.Signal.ImmediateShutdown, TimeSpan.FromSeconds(10)), (ServerProcesses.Signal.Kill, TimeSpan.FromSeconds(10))])
        {
            lock (_gate)
            {
                _stopping.Set();
                if (_server is { HasExited: false } running) ServerProcesses.Send(running.Id, signal);
            }

            if (await Task.WhenAny(_watchEnded.Task, Task.Delay(patience)) == _watchEnded.Task) break;
            _log.LogWarning("PostgreSQL did not stop within {Patience} on {Signal}.", patience, signal);
        }

        if (Directory.Exists(_socketFolder)) Directory.Delete(_socketFolder, recursive: true);
        _lock.Dispose();
    }

    public async ValueTask DisposeAsync() => await StopAsync();

    private async Task StartFirstAsync(CancellationToken ct)
    {
        _cluster.WriteSettings(_socketFolder);
        var since = Stopwatch.GetTimestamp();
        // A thread of its own, because the kernel ends the server with the *thread* that started it (see Launch).
        new Thread(Watch) { IsBackground = true, Name = "PostgreSQL watch" }.Start();
        await AnswersAsync(ct);
        lock (_gate) _ready = true;
        await EnsureDatabaseAsync(ct);
        _log.LogInformation("PostgreSQL {Major} is ready after {Milliseconds:F0} ms (pid {Pid}, socket {Socket}).",
            _binaries.Major, Stopwatch.GetElapsedTime(since).TotalMilliseconds, _server?.Id, _socketFolder);
    }

    private void Watch()
    {
        var pause = FirstPause;
        try
        {
            while (true)
            {
                Process server;
                var since = Stopwatch.GetTimestamp();
                lock (_gate)
                {
                    if (_stopping.IsSet) return;
                    server = _server = Launch();
                }

                // With a limit, because without one .NET also waits for the pipes, which orphaned children hold open.
                while (!server.WaitForExit(int.MaxValue))
                {
                }

                // What it said last may still be in the pipes, and is what a person needs to know.
                _drained!.Wait(TimeSpan.FromSeconds(2));

                lock (_gate)
                {
                    if (_stopping.IsSet || !_ready) return;
                }

                if (Stopwatch.GetElapsedTime(since) > LongestPause) pause = FirstPause;
                _log.LogError("PostgreSQL (pid {Pid}) ended with code {Code} while the platform needs it; it is started again in {Pause}. {LastWords}",
                    server.Id, server.ExitCode, pause, LastWords());
                if (_stopping.Wait(pause)) return;
                pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
                try
                {
                    ServerProcesses.ClearAsync(_cluster).GetAwaiter().GetResult();
                    ClearSockets(_socketFolder);
                }
                catch (IOException e)
                {
                    // A disk that is full, for one, will have room again.
                    _log.LogWarning("The remains of PostgreSQL could not be cleared away: {Reason}", e.Message);
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or Win32Exception)
        {
            _log.LogCritical(e, "PostgreSQL cannot be started again; the platform answers without its database until it is restarted.");
        }
        finally
        {
            _firstEnded.TrySetResult();
            _watchEnded.TrySetResult();
        }
    }

    // As our own child rather than through pg_ctl: its end is then noticed at once, and as process 1 of a container we
    // clear it away, where its remains would keep a successor from starting. In a session of its own, so that Ctrl-C reaches
    // only the host; and told by the kernel to shut down if the host is killed, so that nothing is left behind.
    private Process Launch()
    {
        var server = Subprocess.Start(_account.Command(["setsid", _binaries.Postgres, "-D", _cluster.Folder], diesWithCaller: true));
        var drained = _drained = new CountdownEvent(2);
        DataReceivedEventHandler keep = (_, line) =>
        {
            if (line.Data is null)
            {
                drained.Signal();
                return;
            }

            lock (_lastWords)
            {
                _lastWords.Enqueue(line.Data);
                if (_lastWords.Count > 5) _lastWords.Dequeue();
            }
        };
        server.OutputDataReceived += keep;
        server.ErrorDataReceived += keep;
        server.BeginOutputReadLine();
        server.BeginErrorReadLine();
        return server;
    }

    private async Task AnswersAsync(CancellationToken ct)
    {
        while (true)
        {
            try
            {
                await using var connection = new NpgsqlConnection(Maintenance());
                await connection.OpenAsync(ct);
                return;
            }
            catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.InvalidPassword)
            {
                throw new EmbeddedServerException($"PostgreSQL does not accept the password in the data folder's secrets: {e.MessageText}. Bring the file back from the backup that the database came from.", e);
            }
            catch (NpgsqlException) when (!_firstEnded.Task.IsCompleted)
            {
                // Not listening yet, or replaying its log, which may take as long as it needs.
                await Task.WhenAny(_firstEnded.Task, Task.Delay(20, ct));
                ct.ThrowIfCancellationRequested();
            }
            catch (NpgsqlException e)
            {
                throw new EmbeddedServerException($"PostgreSQL did not start on {_cluster.Folder}: {LastWords()} Its log is in {_cluster.LogFolder}.", e);
            }
        }
    }

    private async Task EnsureDatabaseAsync(CancellationToken ct)
    {
        await using var connection = new NpgsqlConnection(Maintenance());
        await connection.OpenAsync(ct);
        await using var exists = new NpgsqlCommand("SELECT 1 FROM pg_database WHERE datname = $1", connection) { Parameters = { new() { Value = Database } } };
        if (await exists.ExecuteScalarAsync(ct) is not null) return;
        await using var create = new NpgsqlCommand($"CREATE DATABASE {Database}", connection);
        await create.ExecuteNonQueryAsync(ct);
    }

    private string Maintenance() =>
        new NpgsqlConnectionStringBuilder(AdminConnectionString) { Database = "postgres", Pooling = false }.ConnectionString;

    private string LastWords()
    {
        lock (_lastWords) return string.Join(' ', [.. _lastWords, _cluster.ReadLogEnd()]);
    }

    private static string? Sentence((int? WasRunning, bool LeftUntidy) found, int? abandonedBy) => found switch
    {
        ({ } pid, _) => $"PostgreSQL was left running by a host that did not stop cleanly (pid {pid}); it was stopped and started again",
        (_, true) => "PostgreSQL had not been shut down cleanly; it replayed its log",
        _ when abandonedBy is { } host => $"The platform had not been stopped cleanly (pid {host}); PostgreSQL had closed its data in order by itself",
        _ => null,
    };

    private static string CreateSocketFolder(string dataDirectory, ServerAccount account)
    {
        var folder = Path.Combine(dataDirectory, "run");
        // A socket's address has room for 107 bytes.
        if (Encoding.UTF8.GetByteCount(folder) > 107 - "/.s.PGSQL.5432".Length)
            folder = Path.Combine("/tmp", $"platform-postgres-{Guid.NewGuid().ToString("N")[..8]}");
        account.CreateFolder(folder);
        ClearSockets(folder);
        return folder;
    }

    // A killed server's socket has a lock file, which would refuse its successor once the process id in it is somebody else's.
    private static void ClearSockets(string folder)
    {
        foreach (var file in Directory.EnumerateFiles(folder, ".s.PGSQL.*")) File.Delete(file);
    }
}
