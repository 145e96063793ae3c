using System.Net.Http.Json;
using System.Text;
using Npgsql;
using Platform.Testing;

namespace Platform.Tests.Writes;

public sealed class IdempotencyKeyTests
{
    [Fact]
    public async Task The_same_request_again_gets_the_first_ones_answer()
    {
        var tenant = await TestTenant.NewAsync();
        using var first = await IssueAsync(tenant, "k-1", "ci");
        using var second = await IssueAsync(tenant, "k-1", "ci");
        var (one, two) = (await first.ShouldBeAsync(201), await second.ShouldBeAsync(201));
        two.GetRawText().ShouldBe(one.GetRawText());
        second.Headers.GetValues("Idempotency-Replayed").ShouldBe(["true"]);
        second.Headers.Location.ShouldBe(first.Headers.Location);
        second.Content.Headers.ContentType.ShouldBe(first.Content.Headers.ContentType);
        (await NamedAsync(tenant, "ci")).ShouldBe(1);
    }

    [Fact]
    public async Task A_secret_that_is_shown_once_is_not_kept_in_the_clear()
    {
        var tenant = await TestTenant.NewAsync();
        using var issued = await IssueAsync(tenant, "k-secret", "ci");
        var key = (await issued.ShouldBeAsync(201)).GetProperty("key").GetString()!;
        await using var connection = new NpgsqlConnection(tenant.App.OwnerConnectionString);
        await connection.OpenAsync();
        await using var look = new NpgsqlCommand("select decode(data #>> '{answer,body}', 'base64') from platform.mt_doc_idempotentcall where tenant_id = $1", connection)
        { Parameters = { new() { Value = tenant.Id } } };
        var kept = await look.ExecuteScalarAsync() as byte[];
        Encoding.Latin1.GetString(kept.ShouldNotBeNull()).ShouldNotContain(key);
    }

    [Fact]
    public async Task A_key_that_was_used_for_another_request_is_refused()
    {
        var tenant = await TestTenant.NewAsync();
        await (await IssueAsync(tenant, "k-2", "ci")).ShouldBeAsync(201);
        await (await IssueAsync(tenant, "k-2", "other")).ShouldRefuseAsync(409, "idempotency-key-reused");
        (await NamedAsync(tenant, "other")).ShouldBe(0);
    }

    [Fact]
    public async Task Many_at_once_take_effect_once()
    {
        var tenant = await TestTenant.NewAsync();
        var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => IssueAsync(tenant, "k-3", "ci")));
        answers.Select(a => (int)a.StatusCode).ShouldAllBe(status => status == 201 || status == 409);
        answers.ShouldContain(a => (int)a.StatusCode == 201);
        (await NamedAsync(tenant, "ci")).ShouldBe(1);
    }

    [Fact]
    public async Task A_refused_request_had_no_effect_and_may_be_mended_under_the_same_key()
    {
        var tenant = await TestTenant.NewAsync();
        await (await IssueAsync(tenant, "k-4", "ci", role: "no-such-role")).ShouldBeAsync(400);
        await (await IssueAsync(tenant, "k-4", "ci")).ShouldBeAsync(201);
    }

    [Fact]
    public async Task Two_callers_may_use_the_same_key()
    {
        var (one, other) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await (await IssueAsync(one, "k-5", "ci")).ShouldBeAsync(201);
        await (await IssueAsync(other, "k-5", "ci")).ShouldBeAsync(201);
        (await NamedAsync(other, "ci")).ShouldBe(1);
    }

    [Fact]
    public async Task A_retry_after_the_server_died_between_the_commit_and_the_answer_does_nothing_twice()
    {
        var tenant = await TestTenant.NewAsync();
        await (await IssueAsync(tenant, "k-6", "ci")).ShouldBeAsync(201);
        // What such a death leaves behind: the mark of the commit, and no answer.
        await SetAsync(tenant, "data - 'answer' || jsonb_build_object('startedAt', now() - interval '2 minutes')");
        await (await IssueAsync(tenant, "k-6", "ci")).ShouldRefuseAsync(409, "idempotency-answer-lost");
        (await NamedAsync(tenant, "ci")).ShouldBe(1);
    }

    [Fact]
    public async Task A_retry_after_the_server_died_before_the_commit_is_carried_out()
    {
        var tenant = await TestTenant.NewAsync();
        await (await IssueAsync(tenant, "k-7", "first")).ShouldBeAsync(201);
        await SetAsync(tenant, "data - 'answer' - 'saved' || jsonb_build_object('startedAt', now() - interval '1 minute')");
        await (await IssueAsync(tenant, "k-7", "first")).ShouldRefuseAsync(409, "idempotency-in-progress");
        await SetAsync(tenant, "data || jsonb_build_object('startedAt', now() - interval '1 hour')");
        await (await IssueAsync(tenant, "k-7", "first")).ShouldBeAsync(201);
    }

    [Theory]
    [InlineData("")]
    [InlineData("with space")]
    public async Task A_key_that_is_none_is_refused(string key)
    {
        var tenant = await TestTenant.NewAsync();
        await (await IssueAsync(tenant, key, "ci")).ShouldRefuseAsync(400, "bad-idempotency-key");
    }

    private static async Task<HttpResponseMessage> IssueAsync(TestTenant tenant, string key, string name, string role = "viewer")
    {
        using var issue = new HttpRequestMessage(HttpMethod.Post, $"api/v1/tenancy/tenants/{tenant.Id}/keys") { Content = JsonContent.Create(new { name, role }) };
        issue.Headers.TryAddWithoutValidation("Idempotency-Key", key);
        return await tenant.Admin.SendAsync(issue);
    }

    private static async Task<int> NamedAsync(TestTenant tenant, string name) =>
        (await (await tenant.Admin.GetAsync($"api/v1/tenancy/tenants/{tenant.Id}/keys")).ShouldBeAsync(200)).EnumerateArray().Count(key => key.GetProperty("name").GetString() == name);

    private static async Task SetAsync(TestTenant tenant, string data)
    {
        await using var connection = new NpgsqlConnection(tenant.App.OwnerConnectionString);
        await connection.OpenAsync();
        await using var set = new NpgsqlCommand($"update platform.mt_doc_idempotentcall set data = {data} where tenant_id = $1", connection) { Parameters = { new() { Value = tenant.Id } } };
        (await set.ExecuteNonQueryAsync()).ShouldBe(1);
    }
}
