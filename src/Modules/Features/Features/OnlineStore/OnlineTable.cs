using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Platform.Features.Contracts;

namespace Platform.Features.OnlineStore;

/// <summary>A column that can be looked up.</summary>
internal sealed record OnlineColumn(string Name, DatasetColumnType Type);

/// <summary>A row on its way to the online store.</summary>
/// <param name="Values">A JSON object of the values that are not missing.</param>
/// <param name="EventTime">Of several rows of a key the latest wins, and the last of equal ones; a row without a time loses against one with.</param>
internal readonly record struct OnlineRow(string Key, string Values, DateTime? EventTime);

/// <summary>What is known of the keys that were asked for.</summary>
internal sealed record OnlineAnswer(IReadOnlyList<OnlineColumn> Columns, DateTime WrittenAt, IReadOnlyDictionary<string, string> Values);

/// <summary>The tables of the online store. Every connection binds the tenant, and row-level security holds it to that.</summary>
internal sealed class OnlineTable(NpgsqlDataSource database, TimeProvider time)
{
    /// <summary>Run by the schema's owner.</summary>
    public const string Sql =
        """
        create table if not exists features.online_views (
          tenant_id text not null, view text not null, columns jsonb not null, written_at timestamptz not null,
          primary key (tenant_id, view));
        create table if not exists features.online (
          tenant_id text not null, view text not null, key text not null, "values" jsonb not null, event_time timestamptz, written_at timestamptz not null,
          primary key (tenant_id, view, key));
        alter table features.online_views enable row level security;
        alter table features.online enable row level security;
        drop policy if exists tenant_isolation on features.online_views;
        drop policy if exists tenant_isolation on features.online;
        create policy tenant_isolation on features.online_views to platform_app
          using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
        create policy tenant_isolation on features.online to platform_app
          using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
        grant select, insert, update, delete on features.online_views, features.online to platform_app;
        """;

    /// <summary>Replaces all that the view holds, in one transaction: readers see the old values until it commits. Answers how many keys there are now.</summary>
    public async Task<long> ReplaceAsync(string tenant, string view, IReadOnlyList<OnlineColumn> columns, IAsyncEnumerable<OnlineRow> rows, CancellationToken ct)
    {
        await using var connection = await database.OpenConnectionAsync(ct);
        await using var transaction = await connection.BeginTransactionAsync(ct);
        await ExecuteAsync("select set_config('app.tenant_id', $1, true)", tenant);
        await ExecuteAsync("create temporary table online_draft (key text, position bigint, event_time timestamptz, \"values\" jsonb) on commit drop");
        await using (var copy = await connection.BeginBinaryImportAsync("copy online_draft from stdin (format binary)", ct))
        {
            copy.Timeout = Timeout.InfiniteTimeSpan;
            long position = 0;
            await foreach (var row in rows.WithCancellation(ct))
            {
                await copy.StartRowAsync(ct);
                await copy.WriteAsync(row.Key, NpgsqlDbType.Text, ct);
                await copy.WriteAsync(position++, NpgsqlDbType.Bigint, ct);
                if (row.EventTime is { } at) await copy.WriteAsync(at, NpgsqlDbType.TimestampTz, ct);
                else await copy.WriteNullAsync(ct);
                await copy.WriteAsync(row.Values, NpgsqlDbType.Jsonb, ct);
            }

            await copy.CompleteAsync(ct);
        }

        // This row first: it makes a second run of the same view wait here until this one has committed.
        var writtenAt = time.GetUtcNow().UtcDateTime;
        await ExecuteAsync(
            """
            insert into features.online_views (tenant_id, view, columns, written_at) values ($1, $2, $3::jsonb, $4)
            on conflict (tenant_id, view) do update set columns = excluded.columns, written_at = excluded.written_at
            """, tenant, view, JsonSerializer.Serialize(columns), writtenAt);
        await ExecuteAsync("delete from features.online where tenant_id = $1 and view = $2", tenant, view);
        var keys = await ExecuteAsync(
            """
            insert into features.online (tenant_id, view, key, "values", event_time, written_at)
            select distinct on (key) $1, $2, key, "values", event_time, $3 from online_draft order by key, event_time desc nulls last, position desc
            """, tenant, view, writtenAt);
        await transaction.CommitAsync(ct);
        return keys;

        async Task<int> ExecuteAsync(string sql, params object[] parameters)
        {
            await using var command = new NpgsqlCommand(sql, connection, transaction) { CommandTimeout = 0 };
            foreach (var parameter in parameters) command.Parameters.Add(new NpgsqlParameter { Value = parameter });
            return await command.ExecuteNonQueryAsync(ct);
        }
    }

    public async Task RemoveAsync(string tenant, string view, CancellationToken ct)
    {
        await using var batch = Bound(tenant);
        foreach (var table in (string[])["features.online", "features.online_views"])
        {
            batch.BatchCommands.Add(new NpgsqlBatchCommand($"delete from {table} where tenant_id = $1 and view = $2") { Parameters = { new() { Value = tenant }, new() { Value = view } } });
        }

        await batch.ExecuteNonQueryAsync(ct);
    }

    /// <summary>The values of the keys that are known, in one round trip; null when nothing of the view has been materialised.</summary>
    public async Task<OnlineAnswer?> ReadAsync(string tenant, string view, IReadOnlyList<string> keys, CancellationToken ct)
    {
        await using var batch = Bound(tenant);
        batch.BatchCommands.Add(new NpgsqlBatchCommand("select columns, written_at from features.online_views where tenant_id = $1 and view = $2")
        {
            Parameters = { new() { Value = tenant }, new() { Value = view } },
        });
        batch.BatchCommands.Add(new NpgsqlBatchCommand("select key, \"values\" from features.online where tenant_id = $1 and view = $2 and key = any($3)")
        {
            Parameters = { new() { Value = tenant }, new() { Value = view }, new() { Value = keys.Distinct().ToArray() } },
        });
        await using var reader = await batch.ExecuteReaderAsync(ct);
        await reader.NextResultAsync(ct);
        if (!await reader.ReadAsync(ct)) return null;
        var columns = JsonSerializer.Deserialize<OnlineColumn[]>(reader.GetString(0))!;
        var writtenAt = reader.GetDateTime(1);

        await reader.NextResultAsync(ct);
        var values = new Dictionary<string, string>();
        while (await reader.ReadAsync(ct)) values[reader.GetString(0)] = reader.GetString(1);
        return new OnlineAnswer(columns, writtenAt, values);
    }

    /// <summary>A batch is one transaction, so the tenant is bound for exactly its commands.</summary>
    private NpgsqlBatch Bound(string tenant)
    {
        var batch = database.CreateBatch();
        batch.BatchCommands.Add(new NpgsqlBatchCommand("select set_config('app.tenant_id', $1, true)") { Parameters = { new() { Value = tenant } } });
        return batch;
    }
}
