using System.Net.Http.Json;
using Platform.Testing;

namespace Registry.Tests.Models;

public sealed class ModelTests
{
    [Fact]
    public async Task Models_are_registered_listed_by_name_and_tagged()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("rents");
        await tenant.RegisterAsync("prices");
        var tagged = await (await tenant.Developer.PutAsJsonAsync($"{TestModels.Models}/rents/tags", new { tags = new { team = "north", stage = "trial" } })).ShouldBeAsync(200);
        tagged.GetProperty("tags").GetProperty("team").GetString().ShouldBe("north");

        var list = await (await tenant.Viewer.GetAsync(TestModels.Models)).ShouldBeAsync(200);
        list.EnumerateArray().Select(m => m.GetProperty("name").GetString()).ShouldBe(["prices", "rents"]);
        list[1].GetProperty("tags").GetProperty("stage").GetString().ShouldBe("trial");
        list[1].GetProperty("latestVersion").GetInt32().ShouldBe(0);
        var rest = await (await tenant.Viewer.GetAsync($"{TestModels.Models}?after=prices")).ShouldBeAsync(200);
        rest.EnumerateArray().Single().GetProperty("name").GetString().ShouldBe("rents");
    }

    [Theory]
    [InlineData("House Prices")]
    [InlineData("a/b")]
    [InlineData("")]
    [InlineData(null)]
    public async Task A_name_that_cannot_stand_in_a_url_is_refused(string? name)
    {
        var tenant = await TestTenant.NewAsync();
        var answer = await tenant.Developer.PostAsJsonAsync(TestModels.Models, new { name });
        (await answer.ShouldRefuseAsync(400, "invalid-field")).GetProperty("field").GetString().ShouldBe("name");
    }

    [Fact]
    public async Task A_name_is_taken_once_in_a_tenant_and_free_in_another()
    {
        var (tenant, other) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await tenant.RegisterAsync("prices");
        await (await tenant.Developer.PostAsJsonAsync(TestModels.Models, new { name = "prices" })).ShouldRefuseAsync(409, "model-exists");
        await other.RegisterAsync("prices");
    }

    [Fact]
    public async Task Another_tenants_model_looks_as_if_it_were_not_there()
    {
        var (tenant, other) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await tenant.RegisterWithVersionAsync("secret");
        await (await other.Admin.GetAsync($"{TestModels.Models}/secret")).ShouldRefuseAsync(404, "no-such-model");
        await (await other.Admin.GetAsync($"{TestModels.Models}/secret/versions/1")).ShouldRefuseAsync(404, "no-such-model");
        await (await other.Admin.GetAsync($"{TestModels.Models}/secret/versions/1/artifact")).ShouldRefuseAsync(404, "no-such-model-version");
        await (await other.Admin.SetAliasAsync("secret", "challenger", 1)).ShouldRefuseAsync(404, "no-such-model");
        (await (await other.Admin.GetAsync(TestModels.Models)).ShouldBeAsync(200)).GetArrayLength().ShouldBe(0);
    }

    [Fact]
    public async Task Tags_that_do_not_fit_are_refused()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("prices");
        await Refuses(new { });
        await Refuses(new { tags = Enumerable.Range(0, 51).ToDictionary(i => $"t{i}", _ => "x") });
        await Refuses(new { tags = new Dictionary<string, string?> { ["long"] = new('x', 501) } });
        await Refuses(new { tags = new Dictionary<string, string?> { ["none"] = null } });

        async Task Refuses(object body) =>
            await (await tenant.Developer.PutAsJsonAsync($"{TestModels.Models}/prices/tags", body)).ShouldRefuseAsync(400, "invalid-field");
    }
}
