using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Platform.Host.EmbeddedPostgres;

/// <summary>The database files in the data folder, and what belongs to them: the superuser's password, the settings, the log.</summary>
internal sealed class Cluster(string dataDirectory)
{
    internal const string SuperUser = "postgres";

    // initdb works in a folder of this kind, which becomes the cluster's only when it is whole.
    private const string UnfinishedPrefix = "postgres.new-";

    internal string Folder { get; } = Path.Combine(dataDirectory, "postgres");
    internal string LogFolder { get; } = Path.Combine(dataDirectory, "logs", "postgres");
    internal string PidFile => Path.Combine(Folder, "postmaster.pid");

    /// <summary>What the server's processes call themselves in the process list, so that they can be told from another server's.</summary>
    internal string Name { get; } = $"platform-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(dataDirectory)))[..12]}";

    private string PasswordFile => Path.Combine(dataDirectory, "secrets", "postgres-superuser");

    /// <summary>The version that wrote the data, or null when there is none yet.</summary>
    internal int? Major
    {
        get
        {
            var file = Path.Combine(Folder, "PG_VERSION");
            if (File.Exists(file)) return int.Parse(File.ReadAllText(file), CultureInfo.InvariantCulture);
            if (!Directory.Exists(Folder)) return null;
            if (!Directory.EnumerateFileSystemEntries(Folder).Any())
            {
                Directory.Delete(Folder);
                return null;
            }

            throw new EmbeddedServerException($"{Folder} holds files, but no PostgreSQL data. Move them away, or choose another folder with PLATFORM_DATA.");
        }
    }

    internal string ReadPassword(ServerBinaries binaries)
    {
        if (File.Exists(PasswordFile)) return File.ReadAllText(PasswordFile);
        throw new EmbeddedServerException(
            $"The password of the database's superuser is missing. Bring {PasswordFile} back from a backup, or write a new one into it and run, as the owner of the data: " +
            $"echo \"ALTER ROLE {SuperUser} PASSWORD 'the new one'\" | {binaries.Postgres} --single -D {Folder} postgres");
    }

    internal async Task InitialiseAsync(ServerBinaries binaries, ServerAccount account, CancellationToken ct)
    {
        foreach (var unfinished in Directory.GetDirectories(dataDirectory, UnfinishedPrefix + "*"))
            Directory.Delete(unfinished, recursive: true);
        var folder = Path.Combine(dataDirectory, UnfinishedPrefix + Guid.NewGuid().ToString("N")[..8]);
        var cluster = Path.Combine(folder, "cluster");
        account.CreateFolder(folder);
        try
        {
            var passwordCopy = Path.Combine(folder, "password");
            WritePrivately(passwordCopy, MakePassword());
            account.Own(passwordCopy);
            // Order by bytes: an upgrade of the system's C library then cannot change it under the indexes.
            await RunAsync([binaries.InitDb, "-D", cluster, "--encoding=UTF8", "--locale=C.UTF-8", "--lc-collate=C", "--data-checksums",
                "--auth=scram-sha-256", $"--username={SuperUser}", $"--pwfile={passwordCopy}"]);
            await RunAsync(["sh", "-c", "echo \"include_if_exists = '../postgres.conf'\" >> \"$1\"", "sh", Path.Combine(cluster, "postgresql.conf")]);
            Directory.Move(cluster, Folder);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        async Task RunAsync(string[] command)
        {
            var outcome = await Subprocess.RunAsync(account.Command(command), ct);
            if (!outcome.Succeeded) throw new EmbeddedServerException($"PostgreSQL's data could not be laid out in {dataDirectory}: {outcome.Error}");
        }
    }

    /// <summary>
    /// The settings that suit a server with one tenant's worth of machine and one client, the host. ALTER SYSTEM wins over them.
    /// </summary>
    internal void WriteSettings(string socketFolder)
    {
        var megabytes = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (1024 * 1024);
        File.WriteAllText(
            Path.Combine(dataDirectory, "postgres.conf"),
            $"""
            # Written at each start of the platform. To change a setting use ALTER SYSTEM, which wins over this file.
            cluster_name = '{Name}'
            # A socket that only the owner can open: quicker than TCP, and it cannot collide with another server's port.
            listen_addresses = ''
            unix_socket_directories = {Quoted(socketFolder)}
            unix_socket_permissions = 0700
            max_connections = 200
            shared_buffers = {Math.Clamp(megabytes / 8, 64, 8192)}MB
            effective_cache_size = {Math.Clamp(megabytes / 4, 256, 65536)}MB
            work_mem = 16MB
            maintenance_work_mem = {Math.Clamp(megabytes / 64, 64, 512)}MB
            fsync = on
            synchronous_commit = on
            wal_compression = on
            min_wal_size = 128MB
            max_wal_size = 2GB
            checkpoint_timeout = 15min
            random_page_cost = 1.1
            # Queries are short, and the cores belong to predictions. Parallel workers would also outgrow a container's /dev/shm.
            max_parallel_workers_per_gather = 0
            jit = off
            timezone = 'UTC'
            # One file for each day of the week, overwritten a week later.
            logging_collector = on
            log_directory = {Quoted(LogFolder)}
            log_filename = 'postgresql-%a.log'
            log_rotation_age = 1d
            log_rotation_size = 0
            log_truncate_on_rotation = on
            log_timezone = 'UTC'
            log_min_duration_statement = 1s

            """);
    }

    /// <summary>The end of the server's log, for the one who must find out why it does not start.</summary>
    internal string ReadLogEnd()
    {
        var newest = Directory.Exists(LogFolder)
            ? new DirectoryInfo(LogFolder).GetFiles("*.log").MaxBy(f => f.LastWriteTimeUtc)
            : null;
        if (newest is null) return "";
        using var log = new FileStream(newest.FullName, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        log.Seek(-Math.Min(log.Length, 4096), SeekOrigin.End);
        using var reader = new StreamReader(log);
        return string.Join(' ', reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(l => l.Contains("FATAL") || l.Contains("PANIC")).TakeLast(2));
    }

    private string MakePassword()
    {
        // A first start that was interrupted has left one already.
        if (File.Exists(PasswordFile)) return File.ReadAllText(PasswordFile);
        var password = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(24));
        Directory.CreateDirectory(Path.GetDirectoryName(PasswordFile)!, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        WritePrivately(PasswordFile + ".new", password);
        File.Move(PasswordFile + ".new", PasswordFile);
        return password;
    }

    private static void WritePrivately(string path, string text)
    {
        using var file = new FileStream(path, new FileStreamOptions
        {
            Mode = FileMode.Create,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
        file.Write(Encoding.UTF8.GetBytes(text));
        file.Flush(flushToDisk: true);
    }

    private static string Quoted(string path) => $"'{path.Replace("'", "''")}'";
}
