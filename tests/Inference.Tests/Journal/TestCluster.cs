using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace Inference.Tests.Journal;

/// <summary>A PostgreSQL server of a test's own, for tests that kill it.</summary>
internal sealed class TestCluster : IDisposable
{
    public static readonly string? Binaries = Directory.Exists("/usr/lib/postgresql")
        ? Directory.GetDirectories("/usr/lib/postgresql").Select(folder => Path.Combine(folder, "bin")).LastOrDefault(folder => File.Exists(Path.Combine(folder, "initdb")))
        : null;

    private readonly string folder = Directory.CreateTempSubdirectory("journal-test-").FullName;
    private readonly int port = FreePort();

    public TestCluster()
    {
        if (Environment.UserName == "root") Run("chown", "postgres", folder);
        Server("initdb", "-D", Data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C");
        Start();
    }

    public string ConnectionString => new NpgsqlConnectionStringBuilder { Host = "127.0.0.1", Port = port, Username = "postgres", Database = "postgres" }.ConnectionString;

    private string Data => Path.Combine(folder, "data");

    public void Start() => Server("pg_ctl", "-D", Data, "-w", "-l", Path.Combine(folder, "log"), "-o", $"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}", "start");

    /// <summary>As after kill -9: no farewell, recovery at the next start.</summary>
    public void Kill() => Server("pg_ctl", "-D", Data, "-w", "-m", "immediate", "stop");

    public void Dispose()
    {
        if (File.Exists(Path.Combine(Data, "postmaster.pid"))) Kill();
        Directory.Delete(folder, recursive: true);
    }

    private static void Server(string program, params string[] arguments)
    {
        var path = Path.Combine(Binaries!, program);
        if (Environment.UserName == "root") Run("runuser", ["-u", "postgres", "--", path, .. arguments]);
        else Run(path, arguments);
    }

    private static void Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { WorkingDirectory = "/" })!;
        process.WaitForExit();
        process.ExitCode.ShouldBe(0, $"{program} {string.Join(' ', arguments)}");
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}

/// <summary>A test that needs PostgreSQL's own programs.</summary>
public sealed class PostgresProgramsFactAttribute : FactAttribute
{
    public PostgresProgramsFactAttribute()
    {
        if (TestCluster.Binaries is null) Skip = "skipped: PostgreSQL's programs are not in /usr/lib/postgresql";
    }
}
