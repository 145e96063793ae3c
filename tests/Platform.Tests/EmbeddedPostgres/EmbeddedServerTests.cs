using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Platform.Host.EmbeddedPostgres;

namespace Platform.Tests.EmbeddedPostgres;

public sealed class EmbeddedServerTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly string _data = Path.Combine(Path.GetTempPath(), $"platform-test-{Guid.NewGuid():N}");

    public void Dispose()
    {
        if (Directory.Exists(_data)) Directory.Delete(_data, recursive: true);
    }

    [Fact]
    public async Task A_first_start_lays_out_a_database_that_only_its_password_opens()
    {
        await using var server = await StartAsync();

        server.Recovery.ShouldBeNull();
        (await ScalarAsync(server, "SHOW data_checksums")).ShouldBe("on");
        (await ScalarAsync(server, "SHOW listen_addresses")).ShouldBe("");
        (await ScalarAsync(server, "SELECT current_database()")).ShouldBe("platform");
        var secret = Path.Combine(_data, "secrets", "postgres-superuser");
        File.GetUnixFileMode(secret).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        var wrong = new NpgsqlConnectionStringBuilder(server.AdminConnectionString) { Password = "guess" }.ConnectionString;
        var refused = await Should.ThrowAsync<PostgresException>(async () => await new NpgsqlConnection(wrong).OpenAsync());
        refused.SqlState.ShouldBe(PostgresErrorCodes.InvalidPassword);
    }

    [Fact]
    public async Task A_second_start_finds_what_was_stored_and_has_nothing_to_mend()
    {
        await using (var first = await StartAsync()) await RememberAsync(first, "kept");

        var since = Stopwatch.GetTimestamp();
        await using var second = await StartAsync();

        Stopwatch.GetElapsedTime(since).ShouldBeLessThan(TimeSpan.FromSeconds(5));
        second.Recovery.ShouldBeNull();
        (await ScalarAsync(second, "SELECT word FROM remembered")).ShouldBe("kept");
    }

    [Fact]
    public async Task Stopping_ends_the_server_and_leaves_no_socket_behind()
    {
        var server = await StartAsync();
        var pid = ServerPid();
        var socketFolder = new NpgsqlConnectionStringBuilder(server.AdminConnectionString).Host!;
        Directory.Exists(socketFolder).ShouldBeTrue();

        await server.StopAsync();

        Directory.Exists($"/proc/{pid}").ShouldBeFalse();
        Directory.Exists(socketFolder).ShouldBeFalse();
        await server.StopAsync();
    }

    [Fact]
    public async Task A_data_folder_too_deep_for_a_socket_s_address_works_too()
    {
        var deep = Path.Combine(_data, new string('d', 60), new string('e', 60));

        await using var server = await EmbeddedServer.StartAsync(deep, NullLogger.Instance, default);

        (await ScalarAsync(server, "SELECT 1")).ShouldBe(1);
    }

    [Fact]
    public async Task A_server_killed_under_the_host_is_started_again_with_what_was_committed()
    {
        await using var server = await StartAsync();
        await RememberAsync(server, "kept");
        var first = ServerPid();

        Kill(first);

        await UntilAsync(async () =>
        {
            try
            {
                return await ScalarAsync(server, "SELECT word FROM remembered") as string == "kept" && ServerPid() != first;
            }
            catch (NpgsqlException)
            {
                return false;
            }
        });
    }

    [Fact]
    public async Task A_server_left_running_by_a_killed_host_is_taken_over()
    {
        await using (var before = await StartAsync()) await RememberAsync(before, "kept");
        var abandoned = await LeaveServerRunningAsync();

        await using var server = await StartAsync();

        server.Recovery.ShouldBe($"PostgreSQL was left running by a host that did not stop cleanly (pid {abandoned}); it was stopped and started again");
        (await ScalarAsync(server, "SELECT word FROM remembered")).ShouldBe("kept");
    }

    [Fact]
    public async Task After_host_and_server_were_killed_the_log_is_replayed_and_said_so()
    {
        await using (var before = await StartAsync()) await RememberAsync(before, "kept");
        var abandoned = await LeaveServerRunningAsync();
        Kill(abandoned);
        await UntilAsync(() => Task.FromResult(!IsRunning(abandoned)));

        await using var server = await StartAsync();

        server.Recovery.ShouldBe("PostgreSQL had not been shut down cleanly; it replayed its log");
        (await ScalarAsync(server, "SELECT word FROM remembered")).ShouldBe("kept");
    }

    [Fact]
    public async Task A_pid_file_whose_number_somebody_else_has_by_now_does_not_keep_the_server_down()
    {
        await (await StartAsync()).StopAsync();
        await File.WriteAllTextAsync(Path.Combine(_data, "postgres", "postmaster.pid"), $"{Environment.ProcessId}\n{_data}/postgres\n");

        await using var server = await StartAsync();

        server.Recovery.ShouldNotBeNull();
    }

    [Fact]
    public async Task The_lock_of_a_killed_server_s_socket_does_not_keep_its_successor_down()
    {
        await (await StartAsync()).StopAsync();
        await using var another = await EmbeddedServer.StartAsync(Path.Combine(_data, "another"), NullLogger.Instance, default);
        var pid = ServerProcesses.FindServer(new Cluster(Path.Combine(_data, "another")));
        // The number in it is by now that of a living process of the same user, as happens once numbers come round.
        Directory.CreateDirectory(Path.Combine(_data, "run"));
        await File.WriteAllTextAsync(Path.Combine(_data, "run", ".s.PGSQL.5432.lock"), $"{pid}\n{_data}/postgres\n");

        await using var server = await StartAsync();

        (await ScalarAsync(server, "SELECT 1")).ShouldBe(1);
    }

    [Fact]
    public async Task A_host_that_vanished_after_its_server_closed_the_data_is_mentioned()
    {
        await (await StartAsync()).StopAsync();
        await File.WriteAllTextAsync(Path.Combine(_data, "platform.pid"), "4711");

        await using var server = await StartAsync();

        server.Recovery.ShouldBe("The platform had not been stopped cleanly (pid 4711); PostgreSQL had closed its data in order by itself");
    }

    [Fact]
    public async Task A_second_host_on_the_same_folder_is_refused_and_the_first_goes_on()
    {
        await using var first = await StartAsync();

        var refused = await Should.ThrowAsync<EmbeddedServerException>(StartAsync);

        refused.Message.ShouldContain($"Another platform, pid {Environment.ProcessId}, uses the data folder");
        (await ScalarAsync(first, "SELECT 1")).ShouldBe(1);
    }

    [Fact]
    public async Task An_interrupted_first_start_leaves_nothing_in_the_way()
    {
        var unfinished = Path.Combine(_data, "postgres.new-12345678");
        Directory.CreateDirectory(Path.Combine(unfinished, "cluster"));

        await using var server = await StartAsync();

        (await ScalarAsync(server, "SELECT 1")).ShouldBe(1);
        Directory.Exists(unfinished).ShouldBeFalse();
    }

    [Fact]
    public async Task Data_of_another_major_version_is_refused_with_what_to_install()
    {
        Directory.CreateDirectory(Path.Combine(_data, "postgres"));
        await File.WriteAllTextAsync(Path.Combine(_data, "postgres", "PG_VERSION"), "99\n");

        var refused = await Should.ThrowAsync<EmbeddedServerException>(StartAsync);

        refused.Message.ShouldContain("written by PostgreSQL 99");
        refused.Message.ShouldContain("pg_upgrade");
    }

    [Fact]
    public async Task A_database_folder_with_something_else_in_it_is_left_alone()
    {
        Directory.CreateDirectory(Path.Combine(_data, "postgres"));
        var precious = Path.Combine(_data, "postgres", "thesis.txt");
        await File.WriteAllTextAsync(precious, "mine");

        var refused = await Should.ThrowAsync<EmbeddedServerException>(StartAsync);

        refused.Message.ShouldContain("holds files, but no PostgreSQL data");
        (await File.ReadAllTextAsync(precious)).ShouldBe("mine");
    }

    [Fact]
    public async Task A_lost_superuser_password_is_refused_with_how_to_set_a_new_one()
    {
        await (await StartAsync()).StopAsync();
        File.Delete(Path.Combine(_data, "secrets", "postgres-superuser"));

        var refused = await Should.ThrowAsync<EmbeddedServerException>(StartAsync);

        refused.Message.ShouldContain("--single");
    }

    [Fact]
    public async Task A_server_that_cannot_start_says_why()
    {
        await (await StartAsync()).StopAsync();
        await File.AppendAllTextAsync(Path.Combine(_data, "postgres", "postgresql.conf"), "no_such_setting = 1\n");

        var refused = await Should.ThrowAsync<EmbeddedServerException>(StartAsync);

        refused.Message.ShouldContain("no_such_setting");
    }

    [Fact]
    public async Task Data_that_cannot_be_placed_there_is_refused_by_the_folder_s_name()
    {
        var refused = await Should.ThrowAsync<EmbeddedServerException>(
            () => EmbeddedServer.StartAsync("/proc/platform", NullLogger.Instance, default));

        refused.Message.ShouldContain("The data folder /proc/platform cannot be");
    }

    [RootFact]
    public async Task Under_root_data_below_a_folder_closed_to_others_is_reached()
    {
        Directory.CreateDirectory(_data, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var below = Path.Combine(_data, "repository", "data");

        await using (var first = await EmbeddedServer.StartAsync(below, NullLogger.Instance, default)) await RememberAsync(first, "kept");
        await using var second = await EmbeddedServer.StartAsync(below, NullLogger.Instance, default);

        (await ScalarAsync(second, "SELECT word FROM remembered")).ShouldBe("kept");
    }

    private Task<EmbeddedServer> StartAsync() => EmbeddedServer.StartAsync(_data, NullLogger.Instance, default);

    /// <summary>A server on the data as a host that was killed would have left it: running, and nobody's.</summary>
    private async Task<int> LeaveServerRunningAsync()
    {
        var cluster = new Cluster(_data);
        var binaries = await ServerBinaries.FindAsync(_data, cluster.Major, default);
        var account = await ServerAccount.ForAsync(cluster.Folder, default);
        var sockets = Path.Combine(_data, "sockets");
        account.CreateFolder(sockets);
        cluster.WriteSettings(sockets);
        using var server = Subprocess.Start(account.Command(["setsid", binaries.Postgres, "-D", cluster.Folder]));
        var pid = server.Id;
        await UntilAsync(() => Task.FromResult(
            File.Exists(cluster.PidFile) && File.ReadAllLines(cluster.PidFile) is { Length: >= 8 } lines && lines[7].StartsWith("ready", StringComparison.Ordinal)));
        return pid;
    }

    private int ServerPid() => ServerProcesses.FindServer(new Cluster(_data)) ?? 0;

    private static bool IsRunning(int pid) =>
        File.Exists($"/proc/{pid}/stat") && !File.ReadAllText($"/proc/{pid}/stat").Contains(") Z ", StringComparison.Ordinal);

    private static void Kill(int pid) => ServerProcesses.Send(pid, ServerProcesses.Signal.Kill);

    private static async Task RememberAsync(EmbeddedServer server, string word)
    {
        await ScalarAsync(server, "CREATE TABLE remembered (word text)");
        await ScalarAsync(server, $"INSERT INTO remembered VALUES ('{word}')");
    }

    private static async Task<object?> ScalarAsync(EmbeddedServer server, string sql)
    {
        await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(server.AdminConnectionString) { Pooling = false }.ConnectionString);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteScalarAsync();
    }

    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        using var limit = new CancellationTokenSource(Patience);
        while (!await condition()) await Task.Delay(20, limit.Token);
    }
}

/// <summary>What only root can show: that PostgreSQL runs as somebody else.</summary>
public sealed class RootFactAttribute : FactAttribute
{
    public RootFactAttribute()
    {
        if (!Environment.IsPrivilegedProcess) Skip = "needs root";
    }
}
