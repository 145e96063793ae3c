using Npgsql;
using Platform.Inference.Predict.Journal;
using Platform.Testing;

namespace Inference.Tests.Journal;

/// <summary>The journal's tables in a database of the test's own, made by an ordinary owner and used by an ordinary application role, as in the host.</summary>
internal sealed class JournalDatabase : IAsyncDisposable
{
    private JournalDatabase(NpgsqlDataSource owner, NpgsqlDataSource app, NpgsqlDataSource superuser) => (Owner, App, Superuser) = (owner, app, superuser);

    public NpgsqlDataSource Owner { get; }

    public NpgsqlDataSource App { get; }

    public NpgsqlDataSource Superuser { get; }

    public static async Task<JournalDatabase> CreateAsync(string? onServer = null)
    {
        var superuser = new NpgsqlConnectionStringBuilder(onServer ?? (await TestDatabase.CreateAsync()).ConnectionString);
        var source = NpgsqlDataSource.Create(superuser);
        var (owner, app) = ($"owner_{superuser.Database}", $"app_{superuser.Database}");
        foreach (var sql in new[]
        {
            "do $$ begin create role platform_app nologin; exception when duplicate_object or unique_violation then null; end $$",
            $"create role {owner} login password 'o'", $"create role {app} login password 'a' in role platform_app", $"alter database {superuser.Database} owner to {owner}",
        }) await ExecuteAsync(source, sql);
        var database = new JournalDatabase(Source(superuser, owner, "o"), Source(superuser, app, "a"), source);
        await ExecuteAsync(database.Owner, JournalSchema.Sql);
        return database;
    }

    public static async Task ExecuteAsync(NpgsqlDataSource source, string sql)
    {
        await using var command = source.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }

    /// <summary>One value as the application sees it, bound to a tenant as requests are.</summary>
    public async Task<T> AskAsync<T>(string tenant, string sql)
    {
        await using var connection = await App.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await using var bind = new NpgsqlCommand("select set_config('app.tenant_id', $1, true)", connection) { Parameters = { new() { Value = tenant } } };
        await bind.ExecuteNonQueryAsync();
        await using var ask = new NpgsqlCommand(sql, connection);
        return (T)(await ask.ExecuteScalarAsync())!;
    }

    public Task<long> RowsAsync(string tenant) => AskAsync<long>(tenant, "select count(*) from inference.predictions");

    public Task<long> UsageAsync(string tenant) => AskAsync<long>(tenant, "select coalesce(sum(predictions), 0)::bigint from inference.journal_usage");

    public async ValueTask DisposeAsync()
    {
        await App.DisposeAsync();
        await Owner.DisposeAsync();
        await Superuser.DisposeAsync();
    }

    private static NpgsqlDataSource Source(NpgsqlConnectionStringBuilder like, string user, string password) =>
        NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(like.ConnectionString) { Username = user, Password = password });
}
