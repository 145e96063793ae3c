using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Google.Protobuf;
using Npgsql;
using Platform.Registry.Onnx;
using Platform.Registry.Sharing;
using Platform.Testing;
using Registry.Tests.Mlflow;
using Registry.Tests.Models;
using Registry.Tests.Onnx;

namespace Registry.Tests.Sharing;

public sealed class SharingTests
{
    private const string Shared = "api/v1/registry/shared-models";

    [Fact]
    public async Task A_shared_version_is_in_the_catalogue_of_those_it_is_shared_with_and_of_nobody_else()
    {
        var (owner, reader, stranger) = (await TestTenant.NewAsync(), await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await owner.RegisterWithVersionAsync("base");
        await owner.RegisterWithVersionAsync("secret");
        var sharing = await (await ShareAsync(owner, reader.Id)).ShouldBeAsync(200);
        sharing.GetProperty("tenants")[0].GetString().ShouldBe(reader.Id);

        var seen = (await ListAsync(reader)).Single(m => m.GetProperty("tenant").GetString() == owner.Id);
        (seen.GetProperty("model").GetString(), seen.GetProperty("version").GetInt32(), seen.GetProperty("kind").GetString()).ShouldBe(("base", 1, "onnx"));
        seen.GetProperty("signature").GetProperty("inputs")[0].GetProperty("name").GetString().ShouldBe("x");
        (await ListAsync(stranger)).ShouldAllBe(m => m.GetProperty("tenant").GetString() != owner.Id);
        (await ListAsync(owner)).ShouldAllBe(m => m.GetProperty("tenant").GetString() != owner.Id);

        // To be shared is not to be open: the version itself stays the owner's.
        await (await reader.Admin.GetAsync($"{TestModels.Models}/base/versions/1")).ShouldRefuseAsync(404, "no-such-model");
        await (await reader.Admin.GetAsync($"{TestModels.Models}/base/versions/1/artifact")).ShouldRefuseAsync(404, "no-such-model-version");
        await (await reader.Admin.GetAsync($"{TestModels.Models}/base/versions/1/sharing")).ShouldRefuseAsync(404, "no-such-shared-version");
        await (await reader.Admin.DeleteAsync($"{TestModels.Models}/base/versions/1/sharing")).ShouldRefuseAsync(404, "no-such-model");
        await (await owner.Developer.PutAsJsonAsync($"{TestModels.Models}/base/versions/1/sharing", new { everyone = true })).ShouldRefuseAsync(403, "permission-missing");

        // With all, those are too who come later.
        await (await owner.Admin.PutAsJsonAsync($"{TestModels.Models}/base/versions/1/sharing", new { everyone = true })).ShouldBeAsync(200);
        (await ListAsync(await TestTenant.NewAsync())).ShouldContain(m => m.GetProperty("tenant").GetString() == owner.Id);
        await (await owner.Admin.DeleteAsync($"{TestModels.Models}/base/versions/1/sharing")).ShouldBeAsync(204);
        (await ListAsync(reader)).ShouldAllBe(m => m.GetProperty("tenant").GetString() != owner.Id);
    }

    [Fact]
    public async Task A_version_is_derived_names_its_base_and_outlives_the_sharing()
    {
        var (owner, reader) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await owner.RegisterWithVersionAsync("base");
        await reader.RegisterAsync("mine");
        await (await DeriveAsync(reader, owner)).ShouldRefuseAsync(404, "no-such-shared-model");
        await (await ShareAsync(owner, reader.Id)).ShouldBeAsync(200);

        var derived = await (await DeriveAsync(reader, owner)).ShouldBeAsync(201);
        derived.GetProperty("source").GetString().ShouldBe("derived");
        derived.GetProperty("base").GetProperty("tenant").GetString().ShouldBe(owner.Id);
        derived.GetProperty("base").GetProperty("artifactSha256").GetString().ShouldBe(derived.GetProperty("artifactSha256").GetString());
        var lineage = await (await reader.Viewer.GetAsync("api/v1/registry/lineage?of=version:mine/1")).ShouldBeAsync(200);
        lineage.GetProperty("edges")[0].GetProperty("to").GetString().ShouldBe($"shared-version:{owner.Id}/base/1");
        // The owner sees that one was derived, and not by whom.
        var sharing = await (await owner.Admin.GetAsync($"{TestModels.Models}/base/versions/1/sharing")).ShouldBeAsync(200);
        sharing.GetProperty("derived").GetInt64().ShouldBe(1);

        await (await owner.Admin.DeleteAsync($"{TestModels.Models}/base/versions/1/sharing")).ShouldBeAsync(204);
        await (await DeriveAsync(reader, owner)).ShouldRefuseAsync(404, "no-such-shared-model");
        (await reader.Viewer.GetByteArrayAsync($"{TestModels.Models}/mine/versions/1/artifact")).ShouldBe(SmallModel.Make().ToByteArray());
        await (await reader.Developer.PostAsJsonAsync("api/v1/inference/endpoints", new { name = "live", model = "mine", alias = "1" })).ShouldBeAsync(201);
        (await (await reader.Developer.PostAsJsonAsync("api/v1/inference/endpoints/live/predict", new { inputs = new { x = 2.5 } })).ShouldBeAsync(200)).ToString().ShouldContain("3.5");
        (await (await owner.Admin.GetAsync($"{TestModels.Models}/base/versions/1/sharing")).ShouldBeAsync(200)).GetProperty("withdrawnAt").ValueKind.ShouldBe(JsonValueKind.String);
    }

    [Fact]
    public async Task A_derived_version_is_fitted_to_rows_of_its_own_tenant()
    {
        var (owner, reader) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await owner.RegisterWithVersionAsync("base");
        await (await ShareAsync(owner, reader.Id)).ShouldBeAsync(200);
        await reader.RegisterAsync("mine");
        // The base says x + 1; here it is three times that and 10, give or take a half.
        var rows = string.Join('\n', Enumerable.Range(0, 200).Select(i => $"{i},{(3 * (i + 1)) + 10 + ((i % 3) - 1) * 0.5}"));
        using var csv = new StringContent($"x,truth\n{rows}\n", Encoding.UTF8, new MediaTypeHeaderValue("text/csv"));
        await (await reader.Developer.PostAsync("api/v1/features/datasets?name=rows", csv)).ShouldBeAsync(201);

        var derived = await (await DeriveAsync(reader, owner, new { dataset = "rows", target = "truth", method = "affine" })).ShouldBeAsync(201);
        var fitted = derived.GetProperty("customisation");
        fitted.GetProperty("slope").GetDouble().ShouldBe(3, 0.01);
        fitted.GetProperty("intercept").GetDouble().ShouldBe(10, 0.5);
        fitted.GetProperty("dataset").GetString().ShouldBe("rows");
        fitted.GetProperty("datasetSha256").GetString()!.Length.ShouldBe(64);
        fitted.GetProperty("after").GetProperty("rmse").GetDouble().ShouldBeLessThan(fitted.GetProperty("before").GetProperty("rmse").GetDouble() / 100);
        derived.GetProperty("calibration").GetProperty("halfWidths")[0].GetDouble().ShouldBeInRange(0.3, 0.8);
        derived.GetProperty("artifactSha256").GetString().ShouldNotBe(derived.GetProperty("base").GetProperty("artifactSha256").GetString());

        await (await reader.Developer.PostAsJsonAsync("api/v1/inference/endpoints", new { name = "live", model = "mine", alias = "1" })).ShouldBeAsync(201);
        var answer = await (await reader.Developer.PostAsJsonAsync("api/v1/inference/endpoints/live/predict", new { inputs = new { x = 9 } })).ShouldBeAsync(200);
        answer.GetProperty("prediction").GetDouble().ShouldBe(40, 0.5);
        answer.ToString().ShouldContain("interval");

        var interval = await (await DeriveAsync(reader, owner, new { dataset = "rows", target = "truth" })).ShouldBeAsync(201);
        interval.GetProperty("artifactSha256").GetString().ShouldBe(interval.GetProperty("base").GetProperty("artifactSha256").GetString());
        interval.GetProperty("customisation").GetProperty("slope").ValueKind.ShouldBe(JsonValueKind.Null);

        await (await DeriveAsync(reader, owner, new { dataset = "nothing", target = "truth" })).ShouldBeAsync(404);
        await (await DeriveAsync(reader, owner, new { dataset = "rows", target = "nothing" })).ShouldRefuseAsync(400, "unknown-column");
    }

    [Fact]
    public async Task A_version_that_is_deleted_is_shared_no_more()
    {
        var (owner, reader) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await owner.RegisterWithVersionAsync("base");
        await reader.RegisterAsync("mine");
        await (await ShareAsync(owner, reader.Id)).ShouldBeAsync(200);
        await owner.Developer.OkAsync("DELETE", "model-versions/delete", new { name = "base", version = "1" });
        (await ListAsync(reader)).ShouldAllBe(m => m.GetProperty("tenant").GetString() != owner.Id);
        await (await DeriveAsync(reader, owner)).ShouldRefuseAsync(404, "no-such-shared-model");
    }

    [Fact]
    public async Task What_cannot_be_shared_is_told()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterWithVersionAsync("m");
        object members = new { kind = "weighted-mean", members = new[] { new { model = "m", version = 1 }, new { model = "m", version = 1 } } };
        await (await tenant.Developer.PostAsJsonAsync($"{TestModels.Models}/m/composite-versions", members)).ShouldBeAsync(201);
        await (await tenant.Admin.PutAsJsonAsync($"{TestModels.Models}/m/versions/2/sharing", new { everyone = true })).ShouldRefuseAsync(409, "version-not-shareable");
        await (await tenant.Admin.PutAsJsonAsync($"{TestModels.Models}/m/versions/9/sharing", new { everyone = true })).ShouldRefuseAsync(404, "no-such-model-version");
        foreach (object nobody in new object[] { new { }, new { everyone = true, tenants = new[] { "a" } }, new { tenants = new[] { "Not A Slug" } }, new { tenants = Array.Empty<string>() } })
        {
            await (await tenant.Admin.PutAsJsonAsync($"{TestModels.Models}/m/versions/1/sharing", nobody)).ShouldRefuseAsync(400, "invalid-field");
        }
    }

    [Fact]
    public async Task The_database_itself_shows_a_hostile_tenant_nothing_but_what_is_shared_with_it_and_lets_it_change_nothing()
    {
        var (owner, reader, hostile) = (await TestTenant.NewAsync(), await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await owner.RegisterWithVersionAsync("base");
        await (await ShareAsync(owner, reader.Id)).ShouldBeAsync(200);
        await using var connection = new NpgsqlConnection(owner.App.OwnerConnectionString);
        await connection.OpenAsync();
        // What the application's role may do, bound as the application binds it.
        async Task<long> AsAsync(string tenant, string sql)
        {
            await using var transaction = await connection.BeginTransactionAsync();
            await using (var bind = new NpgsqlCommand($"set local role platform_app; select set_config('app.tenant_id', '{tenant}', true)", connection, transaction)) await bind.ExecuteNonQueryAsync();
            await using var command = new NpgsqlCommand(sql, connection, transaction);
            var result = sql.StartsWith("select", StringComparison.Ordinal) ? (long)(await command.ExecuteScalarAsync())! : await command.ExecuteNonQueryAsync();
            await transaction.CommitAsync();
            return result;
        }

        var seen = $"select count(*) from registry.publications where tenant_id = '{owner.Id}'";
        (await AsAsync(owner.Id, seen), await AsAsync(reader.Id, seen), await AsAsync(hostile.Id, seen), await AsAsync("", seen)).ShouldBe((1, 1, 0, 0));
        foreach (var tenant in new[] { reader.Id, hostile.Id })
        {
            (await AsAsync(tenant, $"update registry.publications set everyone = true where tenant_id = '{owner.Id}'")).ShouldBe(0);
            (await AsAsync(tenant, $"select count(*) from registry.derivations where tenant_id = '{owner.Id}'")).ShouldBe(0);
        }

        var mark = $"insert into registry.derivations (tenant_id, model, version, mark) values ('{owner.Id}', 'base', 1, gen_random_uuid())";
        (await Should.ThrowAsync<PostgresException>(() => AsAsync(hostile.Id, mark))).SqlState.ShouldBe("42501");
        (await AsAsync(reader.Id, mark)).ShouldBe(1);
        var forged = $"insert into registry.publications (tenant_id, model, version, everyone, tenants, published_at, facts) values ('{owner.Id}', 'secret', 1, true, '{{}}', now(), '{{}}')";
        (await Should.ThrowAsync<PostgresException>(() => AsAsync(hostile.Id, forged))).SqlState.ShouldBe("42501");
        // Withdrawn, it is invisible and takes no mark, whoever had it.
        await (await owner.Admin.DeleteAsync($"{TestModels.Models}/base/versions/1/sharing")).ShouldBeAsync(204);
        (await AsAsync(reader.Id, seen)).ShouldBe(0);
        (await Should.ThrowAsync<PostgresException>(() => AsAsync(reader.Id, mark))).SqlState.ShouldBe("42501");
    }

    [Fact]
    public async Task A_tenant_cannot_publish_what_is_anothers_by_naming_its_content()
    {
        // Whoever publishes writes the facts from the version of their own; the content is read from the publisher's store alone.
        var (owner, hostile) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await owner.RegisterWithVersionAsync("base");
        await hostile.RegisterAsync("mine");
        foreach (var from in new object[] { new { tenant = owner.Id, model = "base", version = 1 }, new { tenant = "../" + owner.Id, model = "base", version = 1 }, new { tenant = hostile.Id, model = "mine", version = 1 } })
        {
            await (await hostile.Developer.PostAsJsonAsync($"{TestModels.Models}/mine/derived-versions", new { from })).ShouldRefuseAsync(404, "no-such-shared-model");
        }
    }

    [Fact]
    public void The_line_is_put_behind_the_output_whatever_else_uses_it()
    {
        var model = SmallModel.With(m =>
        {
            m.Graph.Node.Add(SmallModel.Node("Neg", ["y"], "negative"));
            m.Graph.Output.Add(SmallModel.Value("negative", 1, -1, 1));
        });
        var scaled = GraphChange.Scaled(model.ToByteArray(), "y", 2, 100);
        OnnxInspector.Inspect(scaled).IsOk.ShouldBeTrue();
        using var session = OnnxSession.Open(scaled);
        using var options = new Microsoft.ML.OnnxRuntime.RunOptions();
        using var x = Microsoft.ML.OnnxRuntime.OrtValue.CreateTensorValueFromMemory(new[] { 2f }, [1, 1]);
        using var outputs = session.Run(options, ["x"], [x], ["y", "negative"]);
        // What was made from the base's answer still is.
        (outputs[0].GetTensorDataAsSpan<float>()[0], outputs[1].GetTensorDataAsSpan<float>()[0]).ShouldBe((106f, -3f));
    }

    private static Task<HttpResponseMessage> ShareAsync(TestTenant owner, string with) => owner.Admin.PutAsJsonAsync($"{TestModels.Models}/base/versions/1/sharing", new { tenants = new[] { with } });

    private static Task<HttpResponseMessage> DeriveAsync(TestTenant by, TestTenant from, object? calibration = null) =>
        by.Developer.PostAsJsonAsync($"{TestModels.Models}/mine/derived-versions", new { from = new { tenant = from.Id, model = "base", version = 1 }, calibration });

    private static async Task<List<JsonElement>> ListAsync(TestTenant tenant) => [.. (await (await tenant.Viewer.GetAsync(Shared)).ShouldBeAsync(200)).GetProperty("models").EnumerateArray()];
}
