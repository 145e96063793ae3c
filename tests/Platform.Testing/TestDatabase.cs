using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Platform.Host.EmbeddedPostgres;

namespace Platform.Testing;

/// <summary>A database of the test process's own, on the server named by PLATFORM_TEST_DATABASE (a superuser's connection string; build/test starts
/// one for the whole run), or else on an embedded server that ends with the process.</summary>
public sealed record TestDatabase(string ConnectionString)
{
    private static readonly Lazy<Task<string>> Server = new(StartServerAsync);

    public static async Task<TestDatabase> CreateAsync()
    {
        var server = await Server.Value;
        var name = $"test_{Guid.NewGuid():N}"[..20];
        await using var connection = new NpgsqlConnection(server);
        await connection.OpenAsync();
        await using var create = new NpgsqlCommand($"create database {name}", connection);
        await create.ExecuteNonQueryAsync();
        return new(new NpgsqlConnectionStringBuilder(server) { Database = name }.ConnectionString);
    }

    private static async Task<string> StartServerAsync()
    {
        if (Environment.GetEnvironmentVariable("PLATFORM_TEST_DATABASE") is { Length: > 0 } given) return given;
        var data = Directory.CreateTempSubdirectory("platform-test-server-").FullName;
        var server = await EmbeddedServer.StartAsync(data, NullLogger.Instance, CancellationToken.None);
        AppDomain.CurrentDomain.ProcessExit += (_, _) =>
        {
            server.StopAsync().GetAwaiter().GetResult();
            Directory.Delete(data, recursive: true);
        };
        return server.AdminConnectionString;
    }
}
