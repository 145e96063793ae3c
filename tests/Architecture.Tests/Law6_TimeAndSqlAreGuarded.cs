using System.Reflection;
using Mono.Cecil;

namespace Architecture.Tests;

/// <summary>Law 6: no wall clock (a rebuilt projection must come out the same; elsewhere TimeProvider), and SQL of our own only in the named places, which bind the tenant.</summary>
public sealed class Law6_TimeAndSqlAreGuarded
{
    /// <summary>Where SQL is written, and what binds the tenant there.</summary>
    private static readonly string[] SqlPlaces =
    [
        "Platform.Kernel.Signals", // one procedure call, no table
        "Platform.Kernel.SignalExtensions",
        "Platform.Features.OnlineStore", // row-level security, app.tenant_id set on each connection
        "Platform.Registry.Sharing", // row-level security; reads through Tracking, writes in the transaction of the store's session, which sets app.tenant_id
        "Platform.Registry.Tracking", // row-level security, app.tenant_id set in the transaction of each batch; Webhooks and Retention make their statements with its help
        "Platform.Inference.Predict.Journal", // COPY into partitions; reads set app.tenant_id
        "Platform.Inference.Predict.Admission.QuotaLeases", // one function, app.tenant_id set in the same transaction
        "Platform.Inference.Predictions", // reads of the journal, app.tenant_id set on each connection
        "Platform.Inference.Integration", // journal usage, app.tenant_id set on each connection
    ];

    private static readonly string[] Clocks = ["System.DateTime::get_UtcNow", "System.DateTime::get_Now", "System.DateTime::get_Today", "System.DateTimeOffset::get_UtcNow", "System.DateTimeOffset::get_Now"];

    private static readonly string[] Sql = ["Npgsql.NpgsqlCommand::.ctor", "Npgsql.NpgsqlDataSource::CreateCommand", "Npgsql.NpgsqlBatchCommand::.ctor", "Npgsql.NpgsqlConnection::BeginBinaryImport", "::QueueSqlCommand", "Marten.IQuerySession::QueryAsync(System.String"];

    [Fact]
    public void Nobody_reads_the_wall_clock() => House.ModuleAssemblies.SelectMany(a => Calls(a, Clocks, [])).ShouldHold();

    [Fact]
    public void A_projection_that_reads_the_wall_clock_is_noticed() => Calls(House.Broken.Assembly, Clocks, []).ShouldContain(c => c.StartsWith("Platform.Broken.Thing calls"));

    [Fact]
    public void Sql_is_written_only_in_the_named_places() => House.ModuleAssemblies.SelectMany(a => Calls(a, Sql, SqlPlaces)).ShouldHold();

    [Fact]
    public void Sql_anywhere_else_is_noticed() => Calls(House.Broken.Assembly, Sql, SqlPlaces).ShouldContain(c => c.StartsWith("Platform.Broken.RawSql calls"));

    private static IEnumerable<string> Calls(Assembly assembly, string[] banned, string[] except)
    {
        using var module = ModuleDefinition.ReadModule(assembly.Location);
        foreach (var type in module.GetTypes())
        {
            var outer = type;
            while (outer.DeclaringType is not null) outer = outer.DeclaringType;
            if (except.Any(e => outer.FullName == e || outer.FullName.StartsWith(e + ".", StringComparison.Ordinal))) continue;
            foreach (var call in type.Methods.Where(m => m.HasBody).SelectMany(m => m.Body.Instructions).Select(i => i.Operand).OfType<MethodReference>())
            {
                var called = $"{call.DeclaringType.FullName}::{call.Name}({string.Join(',', call.Parameters.Select(p => p.ParameterType.FullName))}";
                if (banned.Any(b => called.Contains(b, StringComparison.Ordinal))) yield return $"{outer.FullName} calls {call.DeclaringType.Name}.{call.Name}";
            }
        }
    }
}
