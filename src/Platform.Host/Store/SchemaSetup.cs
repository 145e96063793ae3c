using System.Security.Cryptography;
using System.Text;
using Hangfire.PostgreSql;
using Marten;
using Npgsql;
using Platform.Host.Blobs;
using Platform.Kernel;

namespace Platform.Host.Store;

/// <summary>Brings the schema up to date as the owner: Marten's tables, the modules' own, the jobs' and the row-level policies.
/// Skipped when the same build did it before, which is what makes a second start quick.</summary>
internal static class SchemaSetup
{
    public static async Task ApplyAsync(Database database, IReadOnlyList<IModule> modules, ILogger log, CancellationToken ct)
    {
        using var store = new DocumentStore(Options(database, modules));
        var schemas = modules.Select(m => m.Name).Append("platform").Append("events").ToArray();
        var after = Policies(schemas) + SignalExtensions.Sql + "\n" + BlobCollection.Sql + "\n" + string.Join("\n", modules.Select(m => m.Sql));
        var fingerprint = Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(store.Storage.ToDatabaseScript() + after)));

        await using var connection = await database.Owner.OpenConnectionAsync(ct);
        // One replica migrates, the others wait and then find nothing to do.
        await ExecuteAsync(connection, "select pg_advisory_lock(727001)", ct);
        try
        {
            await ExecuteAsync(connection, "create schema if not exists platform; create table if not exists platform.schema_version (fingerprint text not null, applied_at timestamptz not null default now())", ct);
            await using (var current = new NpgsqlCommand("select fingerprint from platform.schema_version order by applied_at desc limit 1", connection))
            {
                if (await current.ExecuteScalarAsync(ct) as string == fingerprint) return;
            }

            log.LogInformation("Applying the database schema.");
            await ExecuteAsync(connection, string.Join('\n', schemas.Append("jobs").Select(s => $"create schema if not exists {s};")), ct);
            await store.Storage.ApplyAllConfiguredChangesToDatabaseAsync(JasperFx.AutoCreate.CreateOrUpdate);
            PostgreSqlObjectsInstaller.Install(connection, "jobs");
            await ExecuteAsync(connection, after, ct);
            await using var record = new NpgsqlCommand("insert into platform.schema_version (fingerprint) values ($1)", connection) { Parameters = { new() { Value = fingerprint } } };
            await record.ExecuteNonQueryAsync(ct);
        }
        finally
        {
            await ExecuteAsync(connection, "select pg_advisory_unlock(727001)", CancellationToken.None);
        }
    }

    private static StoreOptions Options(Database database, IReadOnlyList<IModule> modules)
    {
        var options = new StoreOptions();
        StoreSetup.Configure(options, database.Owner, modules);
        return options;
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken ct)
    {
        // A table of millions of rows may be made anew.
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 3_600 };
        await command.ExecuteNonQueryAsync(ct);
    }

    /// <summary>Marten covers its document tables; events and streams are ours to cover. Tables of a module's own get theirs in the module's SQL.</summary>
    private static string Policies(string[] schemas) =>
        $$"""
        grant usage on schema {{string.Join(", ", schemas)}}, jobs to platform_app, platform_daemon;
        do $do$
        declare t record;
        begin
          for t in select schemaname, tablename from pg_tables
                   where schemaname = any (array[{{string.Join(", ", schemas.Select(s => $"'{s}'"))}}]) and tablename like 'mt\_%' and tablename not like 'mt\_event\_pro%' loop
            execute format('grant select, insert, update, delete on %I.%I to platform_app', t.schemaname, t.tablename);
          end loop;
        end $do$;
        grant usage, select on all sequences in schema events to platform_app, platform_daemon;
        grant execute on all functions in schema events to platform_app, platform_daemon;
        grant execute on all functions in schema platform to platform_app, platform_daemon;
        grant select, insert, update, delete on all tables in schema jobs to platform_app;
        grant usage, select on all sequences in schema jobs to platform_app;
        grant select on all tables in schema events to platform_daemon;
        grant select on events.mt_event_progression to platform_app;
        grant insert, update, delete on events.mt_event_progression, events.mt_event_projection_floors to platform_daemon;

        alter table events.mt_events enable row level security;
        alter table events.mt_streams enable row level security;
        drop policy if exists tenant_isolation on events.mt_events;
        drop policy if exists tenant_isolation on events.mt_streams;
        drop policy if exists daemon_reads on events.mt_events;
        drop policy if exists daemon_reads on events.mt_streams;
        create policy tenant_isolation on events.mt_events to platform_app
          using (tenant_id = current_setting('{{StoreSetup.TenantSetting}}', true)) with check (tenant_id = current_setting('{{StoreSetup.TenantSetting}}', true));
        create policy tenant_isolation on events.mt_streams to platform_app
          using (tenant_id = current_setting('{{StoreSetup.TenantSetting}}', true)) with check (tenant_id = current_setting('{{StoreSetup.TenantSetting}}', true));
        create policy daemon_reads on events.mt_events for select to platform_daemon using (true);
        create policy daemon_reads on events.mt_streams for select to platform_daemon using (true);

        """;
}
