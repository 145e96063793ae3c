using System.Net.Http.Json;
using Google.Protobuf;
using MediatR;
using Microsoft.Extensions.DependencyInjection;
using Platform.Kernel;
using Platform.Registry.Contracts;
using Platform.Testing;
using Registry.Tests.Onnx;

namespace Registry.Tests.Models;

public sealed class AliasTests
{
    [Fact]
    public async Task Given_no_approval_a_version_cannot_become_champion_and_with_one_by_someone_else_it_does()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterWithVersionAsync("prices");

        var refused = await (await tenant.Developer.SetAliasAsync("prices", "champion", 1)).ShouldRefuseAsync(409, "approval-required");
        refused.GetProperty("mend").GetString()!.ShouldContain("approvals");

        var approval = await (await tenant.Developer.PostAsJsonAsync("api/v1/governance/approvals", new { model = "prices", version = 1 })).ShouldBeAsync(201);
        await (await tenant.Admin.PostAsJsonAsync($"api/v1/governance/approvals/{approval.GetProperty("id")}/grant", new { })).ShouldBeAsync(200);

        var model = await (await tenant.Developer.SetAliasAsync("prices", "champion", 1)).ShouldBeAsync(200);
        model.GetProperty("aliases").GetProperty("champion").GetInt32().ShouldBe(1);
    }

    [Fact]
    public async Task Another_alias_moves_freely_and_shows_on_the_version_that_has_it()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterWithVersionAsync("prices");
        await (await tenant.Developer.UploadAsync("prices", SmallModel.Make().ToByteArray())).ShouldBeAsync(201);

        await (await tenant.Developer.SetAliasAsync("prices", "challenger", 1)).ShouldBeAsync(200);
        await (await tenant.Developer.SetAliasAsync("prices", "challenger", 2)).ShouldBeAsync(200);
        var model = await (await tenant.Viewer.GetAsync($"{TestModels.Models}/prices")).ShouldBeAsync(200);
        model.GetProperty("versions").EnumerateArray().Select(v => (v.GetProperty("version").GetInt32(), v.GetProperty("aliases").GetArrayLength())).ShouldBe([(2, 1), (1, 0)]);

        await (await tenant.Developer.DeleteAsync($"{TestModels.Models}/prices/aliases/challenger")).ShouldBeAsync(204);
        await (await tenant.Developer.DeleteAsync($"{TestModels.Models}/prices/aliases/challenger")).ShouldBeAsync(204);
        (await (await tenant.Viewer.GetAsync($"{TestModels.Models}/prices")).ShouldBeAsync(200)).GetProperty("model").GetProperty("aliases").EnumerateObject().ShouldBeEmpty();
    }

    [Fact]
    public async Task An_alias_needs_a_version_that_is_there_and_a_name_that_is_no_number()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterWithVersionAsync("prices");
        await (await tenant.Developer.SetAliasAsync("prices", "challenger", 2)).ShouldRefuseAsync(404, "no-such-model-version");
        await (await tenant.Developer.SetAliasAsync("nothing", "challenger", 1)).ShouldRefuseAsync(404, "no-such-model");
        await (await tenant.Developer.SetAliasAsync("prices", "7", 1)).ShouldRefuseAsync(400, "invalid-field");
        await (await tenant.Developer.SetAliasAsync("prices", "Challenger", 1)).ShouldRefuseAsync(400, "invalid-field");
        await (await tenant.Viewer.SetAliasAsync("prices", "challenger", 1)).ShouldRefuseAsync(403, "permission-missing");
        await (await tenant.Developer.DeleteAsync($"{TestModels.Models}/nothing/aliases/x")).ShouldRefuseAsync(404, "no-such-model");
    }

    [Fact]
    public async Task Other_modules_resolve_aliases_and_numbers_in_one_question_within_the_tenant_alone()
    {
        var (tenant, other) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await tenant.RegisterWithVersionAsync("prices");
        await (await tenant.Developer.SetAliasAsync("prices", "challenger", 1)).ShouldBeAsync(200);

        VersionRef[] asked = [new("prices", "challenger"), new("prices", "1"), new("prices", "champion"), new("prices", "2"), new("rents", "1")];
        var answers = await ResolveAsync(tenant, asked);
        answers.Select(a => a.Ref).ShouldBe(asked);
        answers.Select(a => a.Version?.Version).ShouldBe([1, 1, null, null, null]);
        answers.Select(a => a.ModelExists).ShouldBe([true, true, true, true, false]);
        answers[0].Author.ShouldNotBeNull().ShouldStartWith("key:");
        answers[0].Version!.Columns.Single().Name.ShouldBe("x");

        (await ResolveAsync(other, asked)).ShouldAllBe(a => a.Version == null && !a.ModelExists);
    }

    private static async Task<IReadOnlyList<ResolvedVersion>> ResolveAsync(TestTenant tenant, VersionRef[] refs)
    {
        await using var scope = tenant.App.Services.CreateAsyncScope();
        scope.ServiceProvider.GetRequiredService<CallerScope>().Begin(Caller.System(tenant.Id));
        return await scope.ServiceProvider.GetRequiredService<IMediator>().Send(new ResolveVersions(refs));
    }
}
