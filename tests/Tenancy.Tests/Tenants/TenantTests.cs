using System.Net.Http.Json;
using Npgsql;
using Platform.Testing;

namespace Tenancy.Tests.Tenants;

public sealed class TenantTests
{
    [Fact]
    public async Task A_suspended_tenants_keys_stop_and_a_resumed_ones_work_again()
    {
        var tenant = await TestTenant.NewAsync();
        using var platform = tenant.App.ClientWith(PlatformApp.AdminKey);
        await (await tenant.Viewer.GetAsync($"api/v1/tenancy/tenants/{tenant.Id}")).ShouldBeAsync(200);

        await (await platform.PostAsJsonAsync($"api/v1/tenancy/tenants/{tenant.Id}/suspend", new { reason = "unpaid" })).ShouldBeAsync(200);
        var refused = await Eventually.BecomesAsync("the suspension to be heard", () => tenant.Viewer.GetAsync($"api/v1/tenancy/tenants/{tenant.Id}"), a => (int)a.StatusCode == 403);
        await refused.ShouldRefuseAsync(403, "tenant-suspended");

        await (await platform.PostAsync($"api/v1/tenancy/tenants/{tenant.Id}/resume", null)).ShouldBeAsync(200);
        await Eventually.BecomesAsync("the resumption to be heard", () => tenant.Viewer.GetAsync($"api/v1/tenancy/tenants/{tenant.Id}"), a => (int)a.StatusCode == 200);
    }

    [Fact]
    public async Task Two_tenants_cannot_share_an_id()
    {
        var tenant = await TestTenant.NewAsync();
        using var platform = tenant.App.ClientWith(PlatformApp.AdminKey);
        await (await platform.PostAsJsonAsync("api/v1/tenancy/tenants", new { id = tenant.Id, name = "again" })).ShouldRefuseAsync(409, "tenant-exists");
    }

    [Theory]
    [InlineData("Acme")]
    [InlineData("a b")]
    [InlineData("-a")]
    [InlineData("platform")]
    [InlineData("a'; drop table x; --")]
    public async Task An_id_that_cannot_stand_in_a_url_is_refused(string id)
    {
        using var platform = (await PlatformApp.SharedAsync()).ClientWith(PlatformApp.AdminKey);
        var problem = await (await platform.PostAsJsonAsync("api/v1/tenancy/tenants", new { id, name = "x" })).ShouldRefuseAsync(400, "invalid-field");
        problem.GetProperty("field").GetString().ShouldBe("id");
    }

    [Fact]
    public async Task The_application_role_sees_one_tenants_rows_and_without_a_tenant_none()
    {
        var (mine, theirs) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await using var connection = new NpgsqlConnection(mine.App.OwnerConnectionString);
        await connection.OpenAsync();
        await using (var role = new NpgsqlCommand("set role platform_app", connection)) await role.ExecuteNonQueryAsync();

        (await CountAsync("select count(*) from events.mt_events")).ShouldBe(0);
        (await CountAsync("select count(*) from events.mt_streams")).ShouldBe(0);

        await using (var bind = new NpgsqlCommand($"set app.tenant_id = '{mine.Id}'", connection)) await bind.ExecuteNonQueryAsync();
        (await CountAsync("select count(*) from events.mt_events")).ShouldBe(3);
        (await CountAsync("select count(*) from tenancy.mt_doc_apikey")).ShouldBe(3);
        (await CountAsync($"select count(*) from events.mt_events where tenant_id = '{theirs.Id}'")).ShouldBe(0);
        (await CountAsync($"with moved as (update tenancy.mt_doc_apikey set id = id where tenant_id = '{theirs.Id}' returning 1) select count(*) from moved")).ShouldBe(0);
        await Should.ThrowAsync<PostgresException>(() => CountAsync($"with stolen as (update tenancy.mt_doc_apikey set tenant_id = '{theirs.Id}' returning 1) select count(*) from stolen"));

        async Task<long> CountAsync(string sql)
        {
            await using var command = new NpgsqlCommand(sql, connection);
            return (long)(await command.ExecuteScalarAsync())!;
        }
    }

    [Fact]
    public async Task Every_table_with_a_tenant_column_is_under_row_level_security_for_the_application_role()
    {
        await using var connection = new NpgsqlConnection((await PlatformApp.SharedAsync()).OwnerConnectionString);
        await connection.OpenAsync();
        await using var open = new NpgsqlCommand(
            """
            select coalesce(string_agg(distinct c.oid::regclass::text, ', '), '')
            from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
            where c.relkind in ('r', 'p') and not c.relrowsecurity
              and (has_table_privilege('platform_app', c.oid, 'select') or has_table_privilege('platform_app', c.oid, 'update') or has_table_privilege('platform_app', c.oid, 'delete'))
            """, connection);
        (await open.ExecuteScalarAsync()).ShouldBe("");
    }
}
