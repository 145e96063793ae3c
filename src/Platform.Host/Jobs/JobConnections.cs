using Hangfire.PostgreSql;
using Npgsql;

namespace Platform.Host.Jobs;

/// <summary>The library's own factory takes its connections from a pool of the whole process, which outlives the host.</summary>
internal sealed class JobConnections(NpgsqlDataSource source) : IConnectionFactory
{
    public NpgsqlConnection GetOrCreateConnection() => source.CreateConnection();
}
