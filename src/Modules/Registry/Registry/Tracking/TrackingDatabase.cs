using Npgsql;
using NpgsqlTypes;
using Platform.Kernel;

namespace Platform.Registry.Tracking;

/// <summary>Runs statements bound to one tenant: all of a call in one batch, one round trip and one transaction, which a refusal rolls back.</summary>
internal sealed class TrackingDatabase(NpgsqlDataSource database)
{
    /// <param name="patience">Seconds that the statements may take.</param>
    public async Task<Result<T>> RunAsync<T>(
        string tenant, IEnumerable<NpgsqlBatchCommand> statements, Func<NpgsqlDataReader, Task<Result<T>>> read, CancellationToken ct, Planning planning = Planning.ByKey, int patience = 30)
    {
        await using var connection = await database.OpenConnectionAsync(ct);
        await using var transaction = await connection.BeginTransactionAsync(ct);
        await using var batch = new NpgsqlBatch(connection, transaction) { Timeout = patience };
        batch.BatchCommands.Add(Bind(tenant, planning));
        foreach (var statement in statements) batch.BatchCommands.Add(statement);
        Result<T> result;
        try
        {
            await using var reader = await batch.ExecuteReaderAsync(ct);
            // The first result is the binding's; statements that return no rows have none.
            await reader.NextResultAsync(ct);
            result = await read(reader);
        }
        catch (PostgresException unfit) when (unfit.SqlState.StartsWith("22", StringComparison.Ordinal))
        {
            // A value that is none to the database, such as half a character: the caller's mistake, which no check before found.
            result = Refusal.Invalid("INVALID_PARAMETER_VALUE", $"A value cannot be kept: {unfit.MessageText}.");
        }

        if (result.IsOk) await transaction.CommitAsync(ct);
        return result;
    }

    /// <summary>The rows of the one statement that returns some.</summary>
    public async Task<List<T>> ReadAsync<T>(
        string tenant, IEnumerable<NpgsqlBatchCommand> statements, Func<NpgsqlDataReader, T> row, CancellationToken ct, Planning planning = Planning.ByKey, int patience = 30) =>
        (await RunAsync(tenant, statements, async reader => Result<List<T>>.Ok(await RowsAsync(reader, row, ct)), ct, planning, patience)).Value;

    public static async Task<List<T>> RowsAsync<T>(NpgsqlDataReader reader, Func<NpgsqlDataReader, T> row, CancellationToken ct)
    {
        List<T> rows = [];
        while (await reader.ReadAsync(ct)) rows.Add(row(reader));
        return rows;
    }

    /// <summary>A statement with its values as $1, $2 and so on. A null is a text, unless the statement casts it.</summary>
    public static NpgsqlBatchCommand Sql(string text, params ReadOnlySpan<object?> values)
    {
        var command = new NpgsqlBatchCommand(text);
        foreach (var value in values) command.Parameters.Add(Parameter(value));
        return command;
    }

    public static NpgsqlParameter Parameter(object? value) =>
        value is null ? new NpgsqlParameter { Value = DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text } : new NpgsqlParameter { Value = value };

    private static NpgsqlBatchCommand Bind(string tenant, Planning planning) => Sql(
        "select set_config('app.tenant_id', $1, true), set_config('max_parallel_workers_per_gather', '0', true), set_config('jit', 'off', true)"
        + (planning is Planning.Free ? "" : ", set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)")
        + (planning is Planning.ByKeyInMemory ? ", set_config('work_mem', '256MB', true)" : "")
        + (planning is Planning.ByKeyOrGiveUp ? $", set_config('statement_timeout', '{Patience.TotalMilliseconds}', true)" : ""), tenant);

    /// <summary>How long a plan by key is given before it is given up.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(750);
}

/// <summary>How a statement may be carried out.</summary>
internal enum Planning
{
    /// <summary>The statement says itself where to begin, and each further table is asked by its key, row by row, until there are enough. The planner, which
    /// cannot know how metrics go together, would now and then join whole tables for ten rows.</summary>
    ByKey,
    /// <summary>The same, but when it takes too long it ends with a <see cref="PostgresException"/> of <see cref="PostgresErrorCodes.QueryCanceled"/>.</summary>
    ByKeyOrGiveUp,
    /// <summary>The same, with room for sets that are gathered before and looked into. It is used as far as there is something in them.</summary>
    ByKeyInMemory,
    /// <summary>As the planner likes.</summary>
    Free,
}
