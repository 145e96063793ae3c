using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Platform.Inference.Contracts;
using Platform.Inference.Predict.Journal;

namespace Platform.Inference.Predictions;

/// <summary>Reads the journal, always bound to one tenant: the policy on the tables lets no other tenant's row through, whatever is asked.</summary>
internal sealed class JournalReader(NpgsqlDataSource database)
{
    private static readonly JsonDocumentOptions Deep = new() { MaxDepth = 200 };

    /// <summary>The prediction of this id, or null when the tenant has none.</summary>
    public async Task<JournalRow?> FindAsync(string tenant, Guid id, CancellationToken ct)
    {
        // The id holds the moment, and the moment the partition.
        var rows = await ReadAsync(tenant,
            "select id, created_at, endpoint, model, model_version, plan_version, dialect, units, price_class, caller, parse_us, features_us, queue_us, run_us, outputs, rules, inputs, features, intervals "
            + "from inference.predictions where tenant_id = $1 and id = $2 and created_at = $3",
            [new() { Value = id }, Moment(JournalEntry.TimeOf(id))], withInputs: true, ct);
        return rows.SingleOrDefault();
    }

    /// <summary>The newest first, those made before <paramref name="before"/>, at most so many; without inputs, and without outputs and rules that are long.</summary>
    public Task<List<JournalRow>> ListAsync(string tenant, string? endpoint, Guid? before, int limit, CancellationToken ct)
    {
        List<NpgsqlParameter> parameters = [new() { Value = limit }];
        var where = "tenant_id = $1";
        if (endpoint is not null)
        {
            parameters.Add(new() { Value = endpoint });
            where += $" and endpoint = ${parameters.Count + 1}";
        }
        if (before is { } id)
        {
            parameters.Add(new() { Value = id });
            where += $" and id < ${parameters.Count + 1}";
            parameters.Add(Moment(JournalEntry.TimeOf(id)));
            where += $" and created_at <= ${parameters.Count + 1}";
        }
        return ReadAsync(tenant,
            "select id, created_at, endpoint, model, model_version, plan_version, dialect, units, price_class, caller, parse_us, features_us, queue_us, run_us, "
            + $"case when length(outputs::text) <= 1000 then outputs end, case when length(rules::text) <= 1000 then rules end from inference.predictions where {where} order by id desc limit $2",
            parameters, withInputs: false, ct);
    }

    /// <summary>Predictions by endpoint, day and price in [from, to).</summary>
    public async Task<IReadOnlyList<UsageLine>> UsageAsync(string tenant, DateOnly from, DateOnly to, CancellationToken ct)
    {
        await using var connection = await database.OpenConnectionAsync(ct);
        await using var transaction = await BindAsync(connection, tenant, ct);
        await using var command = new NpgsqlCommand(
            "select endpoint, day, price_class, sum(predictions)::bigint from inference.journal_usage where tenant_id = $1 and day >= $2 and day < $3 group by 1, 2, 3 order by 2, 1, 3", connection)
        {
            Parameters = { new() { Value = tenant }, new() { Value = from }, new() { Value = to } },
        };
        List<UsageLine> lines = [];
        await using var reader = await command.ExecuteReaderAsync(ct);
        while (await reader.ReadAsync(ct)) lines.Add(new(reader.GetString(0), reader.GetFieldValue<DateOnly>(1), reader.GetString(2), reader.GetInt64(3)));
        return lines;
    }

    private async Task<List<JournalRow>> ReadAsync(string tenant, string sql, IEnumerable<NpgsqlParameter> parameters, bool withInputs, CancellationToken ct)
    {
        await using var connection = await database.OpenConnectionAsync(ct);
        await using var transaction = await BindAsync(connection, tenant, ct);
        await using var command = new NpgsqlCommand(sql, connection) { Parameters = { new() { Value = tenant } } };
        foreach (var parameter in parameters) command.Parameters.Add(parameter);
        List<JournalRow> rows = [];
        await using var reader = await command.ExecuteReaderAsync(ct);
        while (await reader.ReadAsync(ct))
        {
            var (inputs, context) = withInputs ? Apart(Tensors(reader, 16)) : (null, null);
            rows.Add(new JournalRow(
                reader.GetGuid(0), reader.GetFieldValue<DateTimeOffset>(1), reader.GetString(2), reader.GetString(3), reader.GetInt32(4), reader.GetInt32(5),
                reader.GetString(6), reader.GetInt32(7), reader.GetString(8), reader.GetString(9),
                new JournalTimings(reader.GetInt32(10) / 1000.0, reader.GetInt32(11) / 1000.0, reader.GetInt32(12) / 1000.0, reader.GetInt32(13) / 1000.0),
                Tensors(reader, 14), inputs, withInputs ? Json(reader, 17) : null, withInputs ? Json(reader, 18) : null, context, Json(reader, 15)));
        }
        return rows;
    }

    /// <summary>The rows, and what the caller sent to find the prediction by (<see cref="Predict.NamedColumns"/> says how they are kept).</summary>
    private static (JsonElement? Inputs, JsonElement? Context) Apart(JsonElement? kept) =>
        kept is { ValueKind: JsonValueKind.Object } both && both.TryGetProperty("context", out var context) && context.ValueKind is JsonValueKind.Object
            ? (both.GetProperty("rows"), context) : (kept, null);

    private static JsonElement? Tensors(NpgsqlDataReader reader, int column) => Json(reader, column) is { } kept ? KeptTensors.Readable(kept) : null;

    private static JsonElement? Json(NpgsqlDataReader reader, int column)
    {
        if (reader.IsDBNull(column)) return null;
        using var document = JsonDocument.Parse(reader.GetString(column), Deep);
        return document.RootElement.Clone();
    }

    private static NpgsqlParameter Moment(DateTimeOffset moment) => new() { Value = moment, NpgsqlDbType = NpgsqlDbType.TimestampTz };

    private static async Task<NpgsqlTransaction> BindAsync(NpgsqlConnection connection, string tenant, CancellationToken ct)
    {
        var transaction = await connection.BeginTransactionAsync(ct);
        await using var bind = new NpgsqlCommand("select set_config('app.tenant_id', $1, true)", connection) { Parameters = { new() { Value = tenant } } };
        await bind.ExecuteNonQueryAsync(ct);
        return transaction;
    }
}

/// <summary>One answered call as the journal has it.</summary>
/// <param name="Dialect">predict: named columns; v2: tensors.</param>
/// <param name="Units">Rows answered, which is what is billed.</param>
/// <param name="Outputs">The predictions, one a row, or the tensors.</param>
/// <param name="Features">The feature view, the keys and the values that were added to the inputs.</param>
/// <param name="Intervals">One a row; null when the model has none.</param>
/// <param name="Context">What the caller sent along to find it by.</param>
/// <param name="Rules">Of each row (from 0) that a rule of the version fired for: what the prediction was before, and what each did. Empty when none fired, null for a version without rules.</param>
internal sealed record JournalRow(
    Guid Id, DateTimeOffset At, string Endpoint, string Model, int ModelVersion, int PlanVersion, string Dialect, int Units, string PriceClass, string Caller,
    JournalTimings Timings, JsonElement? Outputs, JsonElement? Inputs, JsonElement? Features, JsonElement? Intervals, JsonElement? Context, JsonElement? Rules);

/// <summary>Milliseconds spent before the journal.</summary>
internal sealed record JournalTimings(double Parse, double Features, double Queue, double Run);
