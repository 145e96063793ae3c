using System.Security.Cryptography;
using System.Text;
using Npgsql;

namespace Platform.Host.Store;

/// <summary>The database under three roles: the owner changes the schema and nothing else; <c>platform_app</c> serves every request and is held
/// by row-level security; <c>platform_daemon</c> may read all tenants' events, to publish them, and nothing else.</summary>
internal sealed class Database : IAsyncDisposable
{
    private Database(NpgsqlDataSource owner, NpgsqlDataSource app, NpgsqlDataSource jobs, NpgsqlDataSource daemon) => (Owner, App, Jobs, Daemon) = (owner, app, jobs, daemon);

    public NpgsqlDataSource Owner { get; }

    public NpgsqlDataSource App { get; }

    /// <summary>The jobs' bookkeeping: as the app's role, with connections of its own, so that jobs and requests do not wait for each other's.</summary>
    public NpgsqlDataSource Jobs { get; }

    public NpgsqlDataSource Daemon { get; }

    /// <summary>Stands in while the API's description is generated: the store can be configured, and nothing is ever called.</summary>
    public static Database Unconnected()
    {
        var none = NpgsqlDataSource.Create("Host=unconnected.invalid");
        return new(none, none, none, none);
    }

    /// <summary>Connects as the owner and makes sure the two ordinary roles exist, with passwords derived from the master key, so that none is stored.</summary>
    public static async Task<Database> OpenAsync(string ownerConnectionString, byte[] masterKey, CancellationToken ct)
    {
        var owner = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(ownerConnectionString) { ApplicationName = "platform owner", MaxPoolSize = 5 });
        try
        {
            await using var connection = await owner.OpenConnectionAsync(ct);
            var database = connection.Database;
            var appLogin = await EnsureLoginAsync(connection, "platform_app", database, masterKey, ct);
            var daemonLogin = await EnsureLoginAsync(connection, "platform_daemon", database, masterKey, ct);

            return new(
                owner, ConnectAs(ownerConnectionString, appLogin, "platform", atMost: 80), ConnectAs(ownerConnectionString, appLogin, "platform jobs", atMost: 60),
                ConnectAs(ownerConnectionString, daemonLogin, "platform daemon", atMost: 10));
        }
        catch (NpgsqlException e)
        {
            await owner.DisposeAsync();
            throw new StartupRefusedException($"The database cannot be used: {e.Message}. PLATFORM_DATABASE must name a role that may create roles and owns the database.");
        }
    }

    private static NpgsqlDataSource ConnectAs(string ownerConnectionString, (string User, string Password) login, string name, int atMost)
    {
        var connection = new NpgsqlConnectionStringBuilder(ownerConnectionString) { Username = login.User, Password = login.Password, ApplicationName = name, MaxPoolSize = atMost };
        // A killed host's statement would otherwise run to its end, and the leader's lock be held for as long: up to a minute in which nobody publishes events.
        connection.Options = $"{connection.Options} -c client_connection_check_interval=2s".TrimStart();
        return NpgsqlDataSource.Create(connection);
    }

    /// <summary>Privileges and policies hang on the group role, which is one for the server; the login role is the database's own, so that
    /// installations sharing a server do not share a password.</summary>
    private static async Task<(string User, string Password)> EnsureLoginAsync(
        NpgsqlConnection connection, string group, string database, byte[] masterKey, CancellationToken ct)
    {
        var login = $"{group}_{database}".ToLowerInvariant();
        if (login.Length > 63) login = login[..63];
        var password = Convert.ToHexString(HMACSHA256.HashData(masterKey, Encoding.UTF8.GetBytes(login)));
        await using var command = new NpgsqlCommand(
            $"""
            do $do$ begin create role {group} nologin; exception when duplicate_object or unique_violation then null; end $do$;
            do $do$ begin create role "{login}" login nosuperuser nocreatedb nocreaterole; exception when duplicate_object or unique_violation then null; end $do$;
            alter role "{login}" password '{password}';
            do $do$ begin grant {group} to "{login}"; exception when unique_violation then null; end $do$;
            """, connection);
        await command.ExecuteNonQueryAsync(ct);
        await using var check = new NpgsqlCommand("select rolsuper or rolbypassrls from pg_roles where rolname = $1", connection) { Parameters = { new() { Value = login } } };
        if (await check.ExecuteScalarAsync(ct) is true)
        {
            throw new StartupRefusedException($"The role {login} is a superuser or may bypass row-level security; tenants would not be isolated. Take that right away from it.");
        }

        return (login, password);
    }

    public async ValueTask DisposeAsync()
    {
        await App.DisposeAsync();
        await Jobs.DisposeAsync();
        await Daemon.DisposeAsync();
        await Owner.DisposeAsync();
    }
}
