using System.Net.Http.Json;
using System.Text.Json;
using Google.Protobuf;
using Platform.Testing;
using Registry.Tests.Mlflow;
using Registry.Tests.Onnx;

namespace Registry.Tests.Models;

/// <summary>Describing, renaming and deleting models and versions, and the stages they have been in.</summary>
public sealed class ModelWritingTests
{
    [Fact]
    public async Task A_model_is_described_renamed_with_its_versions_and_deleted_and_its_name_is_free_at_once()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterWithVersionAsync("prices");
        const string Prices = $"{TestModels.Models}/prices", Values = $"{TestModels.Models}/values";
        (await (await tenant.Developer.PatchAsJsonAsync(Prices, new { description = "of houses" })).ShouldBeAsync(200)).GetProperty("description").GetString().ShouldBe("of houses");
        await (await tenant.Developer.SetAliasAsync("prices", "challenger", 1)).ShouldBeAsync(200);
        await (await tenant.Developer.PatchAsJsonAsync(Prices, new { name = "values", description = "lost" })).ShouldRefuseAsync(409, "model-has-aliases");
        (await (await tenant.Viewer.GetAsync(Prices)).ShouldBeAsync(200)).GetProperty("model").GetProperty("description").GetString().ShouldBe("of houses");
        await (await tenant.Developer.DeleteAsync($"{Prices}/versions/1")).ShouldRefuseAsync(409, "version-has-alias");
        await (await tenant.Developer.DeleteAsync($"{Prices}/aliases/challenger")).ShouldBeAsync(204);
        (await (await tenant.Developer.PatchAsJsonAsync(Prices, new { name = "Big Values" })).ShouldRefuseAsync(400, "invalid-field")).GetProperty("field").GetString().ShouldBe("name");
        var renamed = await (await tenant.Developer.PatchAsJsonAsync(Prices, new { name = "values", description = "of houses and flats" })).ShouldBeAsync(200);
        (renamed.GetProperty("name").GetString(), renamed.GetProperty("description").GetString()).ShouldBe(("values", "of houses and flats"));
        await (await tenant.Viewer.GetAsync(Prices)).ShouldRefuseAsync(404, "no-such-model");
        await (await tenant.Viewer.GetAsync($"{Values}/versions/1")).ShouldBeAsync(200);

        await (await tenant.Viewer.DeleteAsync(Values)).ShouldRefuseAsync(403, "permission-missing");
        await (await tenant.Developer.DeleteAsync($"{Values}/versions/1")).ShouldBeAsync(204);
        await (await tenant.Developer.DeleteAsync($"{Values}/versions/1")).ShouldRefuseAsync(404, "no-such-model-version");
        await (await tenant.Developer.DeleteAsync(Values)).ShouldBeAsync(204);
        await (await tenant.Developer.DeleteAsync(Values)).ShouldRefuseAsync(404, "no-such-model");
        await tenant.RegisterAsync("values");
        // What clients remember by its number must not become something else.
        (await (await tenant.Developer.UploadAsync("values", SmallModel.Make().ToByteArray())).ShouldBeAsync(201)).GetProperty("version").GetInt32().ShouldBe(2);
    }

    [Fact]
    public async Task Which_version_was_in_production_at_a_moment_is_remembered_whichever_dialect_moved_it()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterWithVersionAsync("prices");
        await (await tenant.Developer.UploadAsync("prices", SmallModel.Make().ToByteArray())).ShouldBeAsync(201);
        const string Prices = $"{TestModels.Models}/prices";
        (await (await tenant.Viewer.GetAsync($"{Prices}/stages")).ShouldBeAsync(200)).GetArrayLength().ShouldBe(0);
        var moved = await (await tenant.Developer.PatchAsJsonAsync($"{Prices}/versions/1", new { stage = "Production", description = "first", tags = new Dictionary<string, string?> { ["seen"] = "yes", ["x"] = null } })).ShouldBeAsync(200);
        (moved.GetProperty("stage").GetString(), moved.GetProperty("description").GetString(), moved.GetProperty("tags").GetProperty("seen").GetString()).ShouldBe(("Production", "first", "yes"));
        var first = (await (await tenant.Viewer.GetAsync($"{Prices}/stages")).ShouldBeAsync(200)).EnumerateArray().Single();
        await tenant.Developer.OkAsync("POST", "model-versions/transition-stage", new { name = "prices", version = "2", stage = "production", archive_existing_versions = true });

        var then = (await (await tenant.Viewer.GetAsync($"{Prices}/stages?at={Uri.EscapeDataString(first.GetProperty("since").GetString()!)}")).ShouldBeAsync(200)).EnumerateArray().Single();
        (then.GetProperty("version").GetInt32(), then.GetProperty("stage").GetString()).ShouldBe((1, "Production"));
        then.GetProperty("movedBy").GetString().ShouldStartWith("key:");
        (await (await tenant.Viewer.GetAsync($"{Prices}/stages")).ShouldBeAsync(200)).EnumerateArray().Select(p => (p.GetProperty("version").GetInt32(), p.GetProperty("stage").GetString())).ShouldBe([(1, "Archived"), (2, "Production")]);

        await (await tenant.Developer.DeleteAsync($"{Prices}/versions/1")).ShouldBeAsync(204);
        var history = (await (await tenant.Viewer.GetAsync($"{Prices}/stages/history")).ShouldBeAsync(200)).EnumerateArray().ToArray();
        history.Select(p => (p.GetProperty("version").GetInt32(), p.GetProperty("stage").GetString(), p.GetProperty("until").ValueKind is JsonValueKind.Null))
            .ShouldBe([(1, "Production", false), (1, "Archived", false), (2, "Production", true)]);
        await (await tenant.Developer.PatchAsJsonAsync($"{Prices}/versions/2", new { stage = "Live" })).ShouldRefuseAsync(400, "invalid-field");
        await (await tenant.Viewer.GetAsync($"{TestModels.Models}/none/stages")).ShouldRefuseAsync(404, "no-such-model");
    }
}
