using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Platform.Testing;

namespace Inference.Tests.Runtimes;

/// <summary>Versions made of other versions.</summary>
public sealed class CompositeTests
{
    [Fact]
    public async Task A_sequence_answers_with_the_bits_of_its_members_run_by_hand()
    {
        var tenant = await MembersAsync();
        var made = await (await ComposeAsync(tenant, "chain", new { kind = "sequence", members = new object[] { Of("first"), new { model = "second", version = 1, inputs = new { x = "y" } } } })).ShouldBeAsync(201);
        made.GetProperty("kind").GetString().ShouldBe("composite");
        made.GetProperty("composite").GetProperty("members")[1].GetProperty("inputs").GetProperty("x").GetString().ShouldBe("y");
        foreach (var model in new[] { "first", "second", "chain" }) await (await tenant.DeployAsync(model, model, "1")).ShouldBeAsync(201);

        float[] rows = [.. Enumerable.Range(0, 24).Select(i => MathF.Sin(i) * 3)];
        var between = await InferAsync(tenant, "first", rows, 8);
        (await InferAsync(tenant, "chain", rows, 8)).ShouldBe(await InferAsync(tenant, "second", between, 5));
        var metadata = await tenant.Developer.GetJsonAsync("v2/models/chain");
        metadata.GetProperty("inputs").GetRawText().ShouldContain("[-1,8]");
        metadata.GetProperty("outputs").GetRawText().ShouldContain("[-1,2]");
        (await tenant.UsageAsync()).ShouldBe(9);
    }

    [Fact]
    public async Task A_mean_is_that_of_its_members_by_weight_and_is_predicted_with_named_columns_and_billed_once()
    {
        var tenant = await MembersAsync();
        var made = await (await ComposeAsync(tenant, "mean", new
        {
            kind = "weighted-mean",
            members = new object[] { new { model = "houses", version = 1, weight = 3 }, new { model = "houses", version = 2, weight = 1 } },
        })).ShouldBeAsync(201);
        made.GetProperty("composite").GetProperty("members").EnumerateArray().Select(m => m.GetProperty("weight").GetDouble()).ShouldBe([0.75, 0.25]);
        made.GetProperty("calibration").ValueKind.ShouldBe(JsonValueKind.Null);
        await (await tenant.DeployAsync("mean", "mean", "1")).ShouldBeAsync(201);

        // 2·7 + 1 and 10·7: three quarters of 15 and a quarter of 70.
        var answer = await tenant.PredictedAsync("""{"inputs": [{"size": 7}, {"size": 0}]}""", "mean");
        answer.GetProperty("predictions").EnumerateArray().Select(row => row.GetProperty("prediction").GetDouble()).ShouldBe([28.75, 0.75]);
        (await tenant.UsageAsync()).ShouldBe(2);
        await (await tenant.PredictAsync("""{"inputs": {"sise": 7}}""", "mean")).ShouldRefuseAsync(400, "unknown-column");
    }

    [Fact]
    public async Task What_does_not_fit_together_is_refused_and_the_refusal_names_the_field()
    {
        var tenant = await MembersAsync();
        var (first, second, houses) = (Of("first"), Of("second"), Of("houses"));
        await RefusedAsync(new { kind = "sequence", members = new[] { first } }, "members");
        await RefusedAsync(new { kind = "sequence", members = new[] { first, Of("first", 9) } }, "members[1]", "no-such-member");
        await RefusedAsync(new { kind = "sequence", members = new[] { first, second } }, "members[1].inputs.x", "members-do-not-fit");
        await RefusedAsync(new { kind = "sequence", members = new object[] { second, new { model = "second", version = 1, inputs = new { x = "y" } } } }, "members[1].inputs.x", "members-do-not-fit");
        await RefusedAsync(new { kind = "sequence", members = new object[] { first, new { model = "second", version = 1, inputs = new { z = "y" } } } }, "members[1].inputs.z", "unknown-input");
        await RefusedAsync(new { kind = "sequence", members = new object[] { first, new { model = "second", version = 1, weight = 2 } } }, "members[1].weight", "weight-in-sequence");
        await RefusedAsync(new { kind = "weighted-mean", members = new[] { first, second } }, "members[1]", "members-do-not-agree");
        await RefusedAsync(new { kind = "weighted-mean", members = new object[] { houses, new { model = "houses", version = 2, weight = -1 } } }, "members[1].weight", "bad-weight");
        await RefusedAsync(new { kind = "weighted-mean", members = new[] { houses, Of("houses", 2) }, outputs = new[] { "price" } }, "outputs", "unknown-output");
        await RefusedAsync(new { kind = "weighted-mean", members = new[] { houses, Of("houses", 2) }, predictionOutput = "price" }, "predictionOutput", "unknown-output");

        async Task RefusedAsync(object body, string field, string? code = null)
        {
            var problem = await (await ComposeAsync(tenant, "refused", body)).ShouldBeAsync(400);
            if (code is not null) problem.GetProperty("code").GetString().ShouldBe(code);
            problem.GetRawText().ShouldContain($"\"{field}\"");
        }
    }

    [Fact]
    public async Task A_version_cannot_contain_itself_and_composites_lie_only_so_deep_in_one_another()
    {
        var tenant = await MembersAsync();
        // The number that it would get itself does not exist while it is made, so there is no way to a cycle.
        var members = new[] { Of("houses"), Of("houses", 2), Of("houses", 3) };
        await (await ComposeAsync(tenant, "houses", new { kind = "weighted-mean", members })).ShouldRefuseAsync(400, "no-such-member");
        var member = Of("houses");
        for (var depth = 1; depth <= 3; depth++)
        {
            await (await ComposeAsync(tenant, $"nest{depth}", new { kind = "weighted-mean", members = new[] { member, Of("houses", 2) } })).ShouldBeAsync(201);
            member = Of($"nest{depth}");
        }
        await (await ComposeAsync(tenant, "nest4", new { kind = "weighted-mean", members = new[] { member, Of("houses", 2) } })).ShouldRefuseAsync(400, "composite-too-large");
        await (await tenant.DeployAsync("nest3", "nest3", "1")).ShouldBeAsync(201);
        // ((a + b)/2 + b)/2 + b)/2 with a = 15 and b = 70.
        (await tenant.PredictedAsync("""{"inputs": {"size": 7}}""", "nest3")).GetProperty("prediction").GetDouble().ShouldBe((((((15 + 70) / 2.0) + 70) / 2) + 70) / 2, 1e-4);
    }

    [Fact]
    public async Task Another_tenants_version_is_no_member()
    {
        var (mine, others) = (await MembersAsync(), await TestTenant.NewAsync());
        await others.UploadAsync("secret", OnnxFiles.Linear(1, ("size", 2)));
        (await (await ComposeAsync(mine, "leak", new { kind = "weighted-mean", members = new[] { Of("houses"), Of("secret") } })).ShouldRefuseAsync(400, "no-such-member"))
            .GetProperty("detail").GetString().ShouldBe("The model 'secret' has no version 1 here.");
    }

    [Fact]
    public async Task A_member_that_fails_is_named_and_nothing_is_billed()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.UploadAsync("same", OnnxFiles.Identity(OnnxFiles.Int64, -1));
        await tenant.UploadAsync("picks", OnnxFiles.Picks());
        await (await ComposeAsync(tenant, "chain", new { kind = "sequence", members = new object[] { Of("same"), new { model = "picks", version = 1, inputs = new { x = "y" } } } })).ShouldBeAsync(201);
        await (await tenant.DeployAsync("chain", "chain", "1")).ShouldBeAsync(201);
        using var answer = await tenant.Developer.PostAsync("v2/models/chain/infer", Json("""{"inputs": [{"name": "x", "shape": [1], "datatype": "INT64", "data": [7]}]}"""));
        (await answer.ShouldBeAsync(400)).GetProperty("error").GetString()!.ShouldContain("'chain' (version 1), in its member 'picks' (version 1), failed");
        (await tenant.UsageAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task A_deadline_stops_the_member_that_runs()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.UploadAsync("same", OnnxFiles.Identity(OnnxFiles.Int64, 1));
        await tenant.UploadAsync("slow", OnnxFiles.Slow());
        await (await ComposeAsync(tenant, "chain", new { kind = "sequence", members = new object[] { Of("same"), new { model = "slow", version = 1, inputs = new { times = "y" } } } })).ShouldBeAsync(201);
        await (await tenant.DeployAsync("chain", "chain", "1")).ShouldBeAsync(201);
        var endless = """{"parameters": {"timeout": 200000}, "inputs": [{"name": "x", "shape": [1], "datatype": "INT64", "data": [9000000000000000000]}]}""";
        using var late = await tenant.Developer.PostAsync("v2/models/chain/infer", Json(endless));
        (await late.ShouldBeAsync(503)).GetProperty("error").GetString()!.ShouldContain("200 ms");
        using var quick = await tenant.Developer.PostAsync("v2/models/chain/infer", Json(endless.Replace("9000000000000000000", "4")));
        (await quick.ShouldBeAsync(200)).GetProperty("outputs")[0].GetProperty("data")[0].GetDouble().ShouldBe(4);
        (await tenant.UsageAsync()).ShouldBe(1);
    }

    [Fact]
    public async Task A_member_served_by_itself_is_in_memory_once_and_goes_and_comes_back_with_the_composite()
    {
        var tenant = await MembersAsync();
        await (await ComposeAsync(tenant, "mean", new { kind = "weighted-mean", members = new[] { Of("houses"), Of("houses", 2) } })).ShouldBeAsync(201);
        await (await tenant.DeployAsync("alone", "houses", "1")).ShouldBeAsync(201);
        await (await tenant.DeployAsync("mean", "mean", "1")).ShouldBeAsync(201);
        (await LoadedAsync()).ShouldBe(["alone", "mean", "member only"]);

        (await tenant.Developer.PostAsync("v2/repository/models/alone/unload", Json("{}"))).EnsureSuccessStatusCode();
        (await LoadedAsync()).ShouldBe(["member only"]);
        (await tenant.PredictedAsync("""{"inputs": {"size": 7}}""", "mean")).GetProperty("prediction").GetDouble().ShouldBe(42.5);
        (await tenant.PredictedAsync("""{"inputs": {"size": 7}}""", "alone")).GetProperty("prediction").GetDouble().ShouldBe(15);
        (await LoadedAsync()).ShouldBe(["alone", "mean", "member only"]);

        await (await tenant.Developer.DeleteAsync($"{Deployments.Endpoints}/mean")).ShouldBeAsync(204);
        await Eventually.BecomesAsync("the composite and its other member to go", LoadedAsync, loaded => loaded is ["alone"]);

        async Task<string[]> LoadedAsync() =>
            [.. (await tenant.Developer.GetJsonAsync("api/v1/inference/resident-models")).GetProperty("models").EnumerateArray().Where(model => model.GetProperty("loaded").GetBoolean())
                .Select(model => model.GetProperty("serves").EnumerateArray().Select(by => by.GetProperty("endpoint").GetString()!).SingleOrDefault("member only")).Order()];
    }

    [Fact]
    public async Task Many_callers_get_what_one_gets_while_members_are_unloaded_under_them()
    {
        var tenant = await MembersAsync();
        await (await ComposeAsync(tenant, "mean", new { kind = "weighted-mean", members = new[] { Of("houses"), Of("houses", 2) } })).ShouldBeAsync(201);
        await (await tenant.DeployAsync("alone", "houses", "1")).ShouldBeAsync(201);
        await (await tenant.DeployAsync("mean", "mean", "1")).ShouldBeAsync(201);
        var callers = Enumerable.Range(0, 8).Select(caller => Task.Run(async () =>
        {
            for (var i = 0; i < 40; i++)
            {
                var size = (caller * 40) + i;
                (await tenant.PredictedAsync($$$"""{"inputs": {"size": {{{size}}}}}""", "mean")).GetProperty("prediction").GetDouble().ShouldBe((((size * 2) + 1) + (size * 10)) / 2.0);
                if (i % 8 == caller) (await tenant.Developer.PostAsync("v2/repository/models/alone/unload", Json("{}"))).EnsureSuccessStatusCode();
            }
        }));
        await Task.WhenAll(callers);
        (await tenant.UsageAsync()).ShouldBe(320);
    }

    /// <summary>first: [-1,8] to y [-1,5]; second: x [-1,5] to y [-1,2]; houses 1 and 2: 2·size + 1 and 10·size.</summary>
    private static async Task<TestTenant> MembersAsync()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.UploadAsync("first", OnnxFiles.Perceptron(8, 16, 5));
        await tenant.UploadAsync("second", OnnxFiles.Perceptron(5, 7, 2));
        await tenant.UploadAsync("houses", OnnxFiles.Linear(1, ("size", 2)));
        await tenant.UploadAsync("houses", OnnxFiles.Linear(0, ("size", 10)));
        return tenant;
    }

    private static object Of(string model, int version = 1) => new { model, version };

    private static async Task<HttpResponseMessage> ComposeAsync(TestTenant tenant, string model, object body)
    {
        using var registered = await tenant.Developer.PostAsJsonAsync("api/v1/registry/models", new { name = model });
        if ((int)registered.StatusCode != 409) await registered.ShouldBeAsync(201);
        return await tenant.Developer.PostAsJsonAsync($"api/v1/registry/models/{model}/composite-versions", body);
    }

    private static async Task<float[]> InferAsync(TestTenant tenant, string endpoint, float[] rows, int width)
    {
        var body = JsonSerializer.Serialize(new { inputs = new[] { new { name = "x", shape = new[] { rows.Length / width, width }, datatype = "FP32", data = rows } } });
        using var answer = await tenant.Developer.PostAsync($"v2/models/{endpoint}/infer", Json(body));
        return [.. (await answer.ShouldBeAsync(200)).GetProperty("outputs")[0].GetProperty("data").EnumerateArray().Select(value => value.GetSingle())];
    }

    private static StringContent Json(string body) => new(body, Encoding.UTF8, "application/json");
}
