using System.Net.Http.Json;
using Platform.Testing;

namespace Platform.Tests.Writes;

public sealed class IfMatchTests
{
    [Fact]
    public async Task A_write_with_the_tag_that_was_read_goes_through_once()
    {
        var tenant = await TestTenant.NewAsync();
        await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/models", new { name = "houses" })).ShouldBeAsync(201);
        var read = await TagAsync(tenant.Developer, "api/v1/registry/models/houses");

        using var first = await TagModelAsync(tenant, "a", read);
        await first.ShouldBeAsync(200);
        var written = first.Headers.ETag!.Tag;
        written.ShouldNotBe(read);
        (await TagAsync(tenant.Developer, "api/v1/registry/models/houses")).ShouldBe(written);

        using var second = await TagModelAsync(tenant, "b", read);
        var problem = await second.ShouldRefuseAsync(412, "changed-since-read");
        problem.GetProperty("field").GetString().ShouldBe("If-Match");
        problem.GetProperty("detail").GetString()!.ShouldContain(written);

        await (await TagModelAsync(tenant, "c", written)).ShouldBeAsync(200);
        await (await TagModelAsync(tenant, "d", "*")).ShouldBeAsync(200);
    }

    [Fact]
    public async Task Of_many_writers_with_the_same_tag_one_wins()
    {
        var tenant = await TestTenant.NewAsync();
        await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/models", new { name = "houses" })).ShouldBeAsync(201);
        var read = await TagAsync(tenant.Developer, "api/v1/registry/models/houses");
        var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => TagModelAsync(tenant, $"w{i}", read)));
        answers.Count(a => (int)a.StatusCode == 200).ShouldBe(1);
        answers.Count(a => (int)a.StatusCode == 412).ShouldBe(7);
    }

    [Fact]
    public async Task What_has_not_changed_is_not_sent_again()
    {
        var tenant = await TestTenant.NewAsync();
        await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/models", new { name = "houses" })).ShouldBeAsync(201);
        using var again = new HttpRequestMessage(HttpMethod.Get, "api/v1/registry/models/houses");
        again.Headers.TryAddWithoutValidation("If-None-Match", await TagAsync(tenant.Developer, "api/v1/registry/models/houses"));
        using var answer = await tenant.Developer.SendAsync(again);
        ((int)answer.StatusCode).ShouldBe(304);
        (await answer.Content.ReadAsByteArrayAsync()).ShouldBeEmpty();
    }

    [Fact]
    public async Task Tenants_and_policies_carry_tags_too()
    {
        var tenant = await TestTenant.NewAsync();
        using var platform = tenant.App.ClientWith(PlatformApp.AdminKey);
        var read = await TagAsync(platform, $"api/v1/tenancy/tenants/{tenant.Id}");
        using var suspended = await platform.PostAsJsonAsync($"api/v1/tenancy/tenants/{tenant.Id}/suspend", new { reason = "unpaid" });
        await suspended.ShouldBeAsync(200);
        using var late = new HttpRequestMessage(HttpMethod.Post, $"api/v1/tenancy/tenants/{tenant.Id}/resume");
        late.Headers.TryAddWithoutValidation("If-Match", read);
        await (await platform.SendAsync(late)).ShouldRefuseAsync(412, "changed-since-read");
        await (await platform.PostAsync($"api/v1/tenancy/tenants/{tenant.Id}/resume", null)).ShouldBeAsync(200);

        using var set = await tenant.Admin.PutAsJsonAsync("api/v1/governance/policy", new { approvalRequired = false, reason = "a test" });
        await set.ShouldBeAsync(200);
        (await TagAsync(tenant.Admin, "api/v1/governance/policy")).ShouldBe(set.Headers.ETag!.Tag);
    }

    private static async Task<HttpResponseMessage> TagModelAsync(TestTenant tenant, string value, string tag)
    {
        using var write = new HttpRequestMessage(HttpMethod.Put, "api/v1/registry/models/houses/tags") { Content = JsonContent.Create(new { tags = new Dictionary<string, string> { ["who"] = value } }) };
        write.Headers.TryAddWithoutValidation("If-Match", tag);
        return await tenant.Developer.SendAsync(write);
    }

    private static async Task<string> TagAsync(HttpClient by, string path)
    {
        using var answer = await by.GetAsync(path);
        await answer.ShouldBeAsync(200);
        return answer.Headers.ETag!.Tag;
    }
}
