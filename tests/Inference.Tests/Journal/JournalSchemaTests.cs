using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Platform.Inference.Predict.Journal;

namespace Inference.Tests.Journal;

public sealed class JournalSchemaTests
{
    [Fact]
    public async Task The_schema_can_be_applied_again_and_again()
    {
        await using var database = await JournalDatabase.CreateAsync();
        await JournalDatabase.ExecuteAsync(database.Owner, JournalSchema.Sql);
        await JournalDatabase.ExecuteAsync(database.Owner, JournalSchema.Sql);
    }

    [Fact]
    public async Task An_installation_from_before_versions_had_rules_keeps_its_rows_and_writes_on()
    {
        await using var database = await WithRowsOfTwoTenantsAsync();
        await JournalDatabase.ExecuteAsync(database.Owner, "alter table inference.predictions drop column rules");
        await JournalDatabase.ExecuteAsync(database.Owner, JournalSchema.Sql);
        using var journal = new JournalWriter(database.App, new JournalOptions(), TimeProvider.System, NullLogger<JournalWriter>.Instance);
        await journal.StartAsync(default);
        (await journal.WriteAsync(journal.Entry("mine"))).ShouldBe(JournalOutcome.Committed);
        await journal.StopAsync(default);
        (await database.AskAsync<long>("mine", "select count(*) from inference.predictions where rules is null")).ShouldBe(3);
        (await database.UsageAsync("mine")).ShouldBe(6);
    }

    [Fact]
    public async Task A_tenant_sees_its_own_rows_and_tallies_and_an_unbound_session_sees_none()
    {
        await using var database = await WithRowsOfTwoTenantsAsync();
        (await database.RowsAsync("mine")).ShouldBe(2);
        (await database.UsageAsync("mine")).ShouldBe(5);
        (await database.RowsAsync("theirs")).ShouldBe(1);
        (await database.UsageAsync("theirs")).ShouldBe(7);
        (await database.RowsAsync("nobody")).ShouldBe(0);
        await using var unbound = database.App.CreateCommand("select count(*) from inference.predictions");
        (await unbound.ExecuteScalarAsync()).ShouldBe(0L);
    }

    [Theory]
    [InlineData("select * from inference.predictions_{0}")]
    [InlineData("select * from inference.predictions where tenant_id = 'theirs' union all select * from inference.predictions_{0}")]
    [InlineData("update inference.predictions set units = 0")]
    [InlineData("delete from inference.predictions")]
    [InlineData("delete from inference.predictions_{0}")]
    [InlineData("update inference.predictions_{0} set units = 100")]
    [InlineData("truncate inference.predictions_{0}")]
    [InlineData("insert into inference.predictions select * from inference.predictions")]
    [InlineData("update inference.journal_usage set predictions = 0")]
    [InlineData("insert into inference.journal_usage values ('mine', 'e', '2026-01-01', 'p', 0, 1)")]
    [InlineData("delete from inference.journal_usage")]
    [InlineData("alter table inference.predictions disable row level security")]
    [InlineData("drop policy tenant on inference.predictions")]
    [InlineData("alter table inference.predictions_{0} disable trigger tally")]
    [InlineData("create table inference.mine (x int)")]
    [InlineData("select inference.tally()")]
    public async Task The_application_can_add_rows_and_read_its_tenants_and_nothing_else(string sql)
    {
        await using var database = await WithRowsOfTwoTenantsAsync();
        await using var command = database.App.CreateCommand(string.Format(sql, DateTime.UtcNow.ToString("yyyy_MM")));
        var failure = await Should.ThrowAsync<PostgresException>(command.ExecuteNonQueryAsync());
        failure.SqlState.ShouldBeOneOf(PostgresErrorCodes.InsufficientPrivilege, "0A000");
    }

    [Fact]
    public async Task A_policy_holds_even_where_the_query_names_the_other_tenant()
    {
        await using var database = await WithRowsOfTwoTenantsAsync();
        (await database.AskAsync<long>("mine", "select count(*) from inference.predictions where tenant_id = 'theirs'")).ShouldBe(0);
        (await database.AskAsync<long>("mine", "select count(*) from inference.journal_usage where tenant_id = 'theirs'")).ShouldBe(0);
    }

    private static async Task<JournalDatabase> WithRowsOfTwoTenantsAsync()
    {
        var database = await JournalDatabase.CreateAsync();
        using var journal = new JournalWriter(database.App, new JournalOptions(), TimeProvider.System, NullLogger<JournalWriter>.Instance);
        await journal.StartAsync(default);
        foreach (var (tenant, units) in new[] { ("mine", 2), ("mine", 3), ("theirs", 7) })
        {
            (await journal.WriteAsync(journal.Entry(tenant, units))).ShouldBe(JournalOutcome.Committed);
        }
        await journal.StopAsync(default);
        return database;
    }
}
