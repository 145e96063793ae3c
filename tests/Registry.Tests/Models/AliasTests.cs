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
    public async Task Which_version_an_alias_meant_at_a_moment_is_remembered_with_who_moved_it()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterWithVersionAsync("prices");
        await (await tenant.Developer.UploadAsync("prices", SmallModel.Make().ToByteArray())).ShouldBeAsync(201);
        const string Alias = $"{TestModels.Models}/prices/aliases/challenger";
        await (await tenant.Viewer.GetAsync(Alias)).ShouldRefuseAsync(404, "no-such-alias");
        await (await tenant.Developer.SetAliasAsync("prices", "challenger", 1)).ShouldBeAsync(200);
        await (await tenant.Developer.SetAliasAsync("prices", "champion-2", 2)).ShouldBeAsync(200);
        var first = await (await tenant.Viewer.GetAsync(Alias)).ShouldBeAsync(200);
        first.GetProperty("version").GetInt32().ShouldBe(1);
        first.GetProperty("movedBy").GetString().ShouldStartWith("key:");
        first.GetProperty("until").ValueKind.ShouldBe(System.Text.Json.JsonValueKind.Null);
        var then = first.GetProperty("since").GetDateTimeOffset();

        await (await tenant.Developer.SetAliasAsync("prices", "challenger", 2)).ShouldBeAsync(200);
        await (await tenant.Developer.DeleteAsync(Alias)).ShouldBeAsync(204);
        await (await tenant.Viewer.GetAsync(Alias)).ShouldRefuseAsync(404, "no-such-alias");
        var past = await (await tenant.Viewer.GetAsync($"{Alias}?at={Uri.EscapeDataString(then.ToString("O"))}")).ShouldBeAsync(200);
        past.GetProperty("version").GetInt32().ShouldBe(1);
        past.GetProperty("until").GetDateTimeOffset().ShouldBeGreaterThan(then);
        await (await tenant.Viewer.GetAsync($"{Alias}?at={Uri.EscapeDataString(then.AddSeconds(-1).ToString("O"))}")).ShouldRefuseAsync(404, "no-such-alias");
    }

    [Fact]
    public async Task Everything_an_alias_has_meant_is_told_in_its_order_with_who_and_which_approval()
    {
        var (tenant, stranger) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await tenant.RegisterWithVersionAsync("prices");
        await (await tenant.Developer.UploadAsync("prices", SmallModel.Make().ToByteArray())).ShouldBeAsync(201);
        const string Model = $"{TestModels.Models}/prices";
        var approval = await (await tenant.Developer.PostAsJsonAsync("api/v1/governance/approvals", new { model = "prices", version = 1 })).ShouldBeAsync(201);
        await (await tenant.Admin.PostAsJsonAsync($"api/v1/governance/approvals/{approval.GetProperty("id")}/grant", new { })).ShouldBeAsync(200);
        await (await tenant.Developer.SetAliasAsync("prices", "champion", 1)).ShouldBeAsync(200);
        foreach (var version in (int[])[1, 2, 1]) await (await tenant.Developer.SetAliasAsync("prices", "challenger", version)).ShouldBeAsync(200);
        await (await tenant.Admin.DeleteAsync($"{Model}/aliases/challenger")).ShouldBeAsync(204);
        await (await tenant.Developer.SetAliasAsync("prices", "challenger", 2)).ShouldBeAsync(200);

        var history = (await (await tenant.Viewer.GetAsync($"{Model}/aliases/challenger/history")).ShouldBeAsync(200)).EnumerateArray().ToArray();
        history.Select(p => p.GetProperty("version").GetInt32()).ShouldBe([1, 2, 1, 2]);
        history.Select(p => p.GetProperty("until").ValueKind is System.Text.Json.JsonValueKind.Null).ShouldBe([false, false, false, true]);
        history[1].GetProperty("since").GetDateTimeOffset().ShouldBe(history[0].GetProperty("until").GetDateTimeOffset());
        history[3].GetProperty("since").GetDateTimeOffset().ShouldBeGreaterThan(history[2].GetProperty("until").GetDateTimeOffset());
        history[2].GetProperty("endedBy").GetString().ShouldNotBe(history[2].GetProperty("movedBy").GetString());
        var champion = (await (await tenant.Viewer.GetAsync($"{Model}/aliases/champion/history")).ShouldBeAsync(200)).EnumerateArray().Single();
        champion.GetProperty("approvalId").GetGuid().ShouldBe(approval.GetProperty("id").GetGuid());

        await (await tenant.Viewer.GetAsync($"{Model}/aliases/nobody/history")).ShouldRefuseAsync(404, "no-such-alias");
        await (await stranger.Viewer.GetAsync($"{Model}/aliases/champion/history")).ShouldRefuseAsync(404, "no-such-model");
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
