using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;
using Platform.Registry.Contracts;
using Platform.Registry.Models;
using Platform.Registry.Onnx;
using Platform.Testing;
using Registry.Tests.Models;

namespace Registry.Tests.Sharing;

/// <summary>Rules that a derived version is given: judged when it is derived, kept with it, and never lost on the way to whoever serves it.</summary>
public sealed class VersionRulesTests
{
    private static readonly ModelSignature Price = new([new("size", "FP32", [-1, 1]), new("city", "BYTES", [-1, 1])], [new("price", "FP32", [-1, 1])]);

    private static readonly ColumnSpec[] Columns =
    [
        new("size", ColumnKind.Number, true, [], null, null, null), new("city", ColumnKind.Category, false, [], null, null, null),
        new("waterfront", ColumnKind.Boolean, false, [], null, null, null), new("sold", ColumnKind.Date, false, [], null, null, null),
    ];

    [Theory]
    [InlineData("""{"name": "no-negative-price", "then": {"floor": 0}}""")]
    [InlineData("""{"name": "r", "when": [], "then": {"multiply": -1.5}}""")]
    [InlineData("""{"name": "r", "when": [{"column": "size", "is": ">=", "value": 20000}, {"prediction": true, "is": "<", "value": 1}], "then": {"refuse": "No."}}""")]
    [InlineData("""{"name": "r", "when": [{"column": "waterfront", "is": "=", "value": 1}], "then": {"add": 1}}""")]
    [InlineData("""{"name": "r", "when": [{"column": "waterfront", "is": "!=", "value": false}], "then": {"round": 0.01}}""")]
    [InlineData("""{"name": "r", "when": [{"column": "city", "in": ["north", "west"]}, {"column": "sold", "is": "<", "value": "2014-10-13"}], "then": {"flag": "Look."}}""")]
    [InlineData("""{"name": "r", "when": [{"column": "size", "in": [1, 2]}, {"column": "sold", "is": "missing"}], "then": {"cap": 1}}""")]
    public void A_rule_that_can_be_run_is_taken(string rule) => Judge(rule).ShouldBeNull();

    [Theory]
    [InlineData("""null""", "bad-rule", "rules[1]")]
    [InlineData("""{"name": "No Name", "then": {"floor": 0}}""", "bad-rule", "rules[1].name")]
    [InlineData("""{"then": {"floor": 0}}""", "bad-rule", "rules[1].name")]
    [InlineData("""{"name": "first", "then": {"floor": 0}}""", "duplicate-rule", "rules[1].name")]
    [InlineData("""{"name": "of-base", "then": {"floor": 0}}""", "duplicate-rule", "rules[1].name")]
    [InlineData("""{"name": "r"}""", "bad-rule", "rules[1].then")]
    [InlineData("""{"name": "r", "then": {}}""", "bad-rule", "rules[1].then")]
    [InlineData("""{"name": "r", "then": {"floor": 0, "cap": 1}}""", "bad-rule", "rules[1].then")]
    [InlineData("""{"name": "r", "then": {"floor": 1e39}}""", "bad-rule", "rules[1].then.floor")]
    [InlineData("""{"name": "r", "then": {"add": 1e999}}""", "bad-rule", "rules[1].then.add")]
    [InlineData("""{"name": "r", "then": {"round": 0}}""", "bad-rule", "rules[1].then.round")]
    [InlineData("""{"name": "r", "then": {"flag": " "}}""", "bad-rule", "rules[1].then.flag")]
    [InlineData("""{"name": "r", "then": {"refuse": "a\u0000b"}}""", "bad-rule", "rules[1].then.refuse")]
    [InlineData("""{"name": "r", "when": [{"column": "city", "is": "=", "value": "a\u0000b"}], "then": {"add": 1}}""", "wrong-type", "rules[1].when[0].value")]
    [InlineData("""{"name": "r", "when": [null], "then": {"add": 1}}""", "bad-condition", "rules[1].when[0]")]
    [InlineData("""{"name": "r", "when": [{"is": "=", "value": 1}], "then": {"add": 1}}""", "bad-condition", "rules[1].when[0]")]
    [InlineData("""{"name": "r", "when": [{"column": "size", "prediction": true, "is": "=", "value": 1}], "then": {"add": 1}}""", "bad-condition", "rules[1].when[0]")]
    [InlineData("""{"name": "r", "when": [{"column": "size", "is": ">", "value": 1}, {"column": "sise", "is": ">", "value": 1}], "then": {"add": 1}}""", "unknown-column", "rules[1].when[1].column")]
    [InlineData("""{"name": "r", "when": [{"column": "size", "is": "~", "value": 1}], "then": {"add": 1}}""", "bad-condition", "rules[1].when[0].is")]
    [InlineData("""{"name": "r", "when": [{"column": "size"}], "then": {"add": 1}}""", "bad-condition", "rules[1].when[0].is")]
    [InlineData("""{"name": "r", "when": [{"column": "city", "is": "<", "value": "north"}], "then": {"add": 1}}""", "bad-condition", "rules[1].when[0].is")]
    [InlineData("""{"name": "r", "when": [{"prediction": true, "is": "missing"}], "then": {"add": 1}}""", "bad-condition", "rules[1].when[0].is")]
    [InlineData("""{"name": "r", "when": [{"column": "size", "is": "="}], "then": {"add": 1}}""", "bad-condition", "rules[1].when[0].value")]
    [InlineData("""{"name": "r", "when": [{"column": "size", "is": "missing", "value": 1}], "then": {"add": 1}}""", "bad-condition", "rules[1].when[0].value")]
    [InlineData("""{"name": "r", "when": [{"column": "size", "is": "=", "value": "big"}], "then": {"add": 1}}""", "wrong-type", "rules[1].when[0].value")]
    [InlineData("""{"name": "r", "when": [{"column": "city", "is": "=", "value": 98001}], "then": {"add": 1}}""", "wrong-type", "rules[1].when[0].value")]
    [InlineData("""{"name": "r", "when": [{"column": "waterfront", "is": "=", "value": 2}], "then": {"add": 1}}""", "wrong-type", "rules[1].when[0].value")]
    [InlineData("""{"name": "r", "when": [{"column": "sold", "is": "<", "value": "13/10/2014"}], "then": {"add": 1}}""", "wrong-type", "rules[1].when[0].value")]
    [InlineData("""{"name": "r", "when": [{"column": "size", "in": []}], "then": {"add": 1}}""", "bad-condition", "rules[1].when[0].in")]
    [InlineData("""{"name": "r", "when": [{"column": "city", "in": ["north", 1]}], "then": {"add": 1}}""", "wrong-type", "rules[1].when[0].in[1]")]
    [InlineData("""{"name": "r", "when": [{"column": "city", "in": ["north"], "is": "="}], "then": {"add": 1}}""", "bad-condition", "rules[1].when[0]")]
    public void One_that_cannot_be_run_is_refused_with_the_place_and_the_mend(string rule, string code, string field)
    {
        var refusal = Judge("""{"name": "first", "then": {"floor": 0}}""", rule).ShouldNotBeNull();
        (refusal.Code, refusal.Field).ShouldBe((code, field));
        refusal.Mend.ShouldNotBeNullOrEmpty();
    }

    [Fact]
    public void Rules_are_for_one_floating_point_number_a_row_and_not_too_many()
    {
        VersionRule[] one = [new("r", new RuleAction(Floor: 0))];
        foreach (var output in new TensorSpec[] { new("label", "BYTES", [-1, 1]), new("count", "INT64", [-1, 1]), new("vector", "FP32", [-1, 3]), new("free", "FP32", [-1, -1]) })
        {
            VersionRules.Judge(one, null, Price with { Outputs = [output] }, Columns, output.Name).ShouldNotBeNull().Code.ShouldBe("no-number-to-rule");
        }
        VersionRules.Judge(one, null, Price, Columns, null).ShouldNotBeNull().Code.ShouldBe("no-number-to-rule");
        VersionRule[] many = [.. Enumerable.Range(0, 50).Select(i => one[0] with { Name = $"r{i}" })];
        VersionRules.Judge(many, null, Price, Columns, "price").ShouldBeNull();
        VersionRules.Judge(many, one, Price, Columns, "price").ShouldNotBeNull().Code.ShouldBe("too-many-rules");
    }

    [Fact]
    public void A_rule_is_told_in_words() => VersionRules.Sentence(Read(
        """{"name": "r", "when": [{"column": "waterfront", "is": "=", "value": true}, {"column": "city", "in": ["north", "west"]}, {"column": "sold", "is": "missing"}, {"prediction": true, "is": "<", "value": 5}], "then": {"multiply": 1.05}}"""))
        .ShouldBe("where waterfront = true and city is one of \"north\", \"west\" and sold is missing and the prediction < 5: times 1.05");

    [Fact]
    public void A_version_from_before_there_were_rules_is_read_and_has_none()
    {
        var added = new VersionAdded(1, VersionSource.Derived, "key:a", null, new string('0', 64), 1, Price, [], "price", null, new OnnxFacts(8, "", new Dictionary<string, long>(), 1, new Dictionary<string, int>()), null, null,
            Rules: [new("r", new RuleAction(Cap: 1), [new RuleCondition("size", Is: ">", Value: JsonSerializer.SerializeToElement(5))])]);
        var kept = JsonSerializer.SerializeToNode(added)!.AsObject();
        var read = kept.Deserialize<VersionAdded>()!;
        (read.Rules![0].Then.Cap, read.Rules[0].When![0].Value!.Value.GetInt32()).ShouldBe((1, 5));
        kept.Remove("Rules").ShouldBeTrue();
        new ModelVersion("m/1", "m", default, kept.Deserialize<VersionAdded>()!).Servable()!.Rules.ShouldBeNull();
    }

    [Fact]
    public async Task Rules_are_kept_with_the_version_and_hold_in_what_others_derive_from_it_before_their_own()
    {
        var (owner, middle, last) = (await TestTenant.NewAsync(), await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await owner.RegisterWithVersionAsync("base");
        await ShareAsync(owner, "base", middle);
        await middle.RegisterAsync("mine");
        var refused = await (await DeriveAsync(middle, owner, "base", """[{"name": "r", "when": [{"column": "z", "is": "=", "value": 1}], "then": {"floor": 0}}]""")).ShouldRefuseAsync(400, "unknown-column");
        (refused.GetProperty("field").GetString(), refused.GetProperty("mend").GetString()).ShouldBe(("rules[0].when[0].column", "Use one of: x."));
        await (await DeriveAsync(middle, owner, "base", """[{"name": "r", "then": {"flor": 0}}]""")).ShouldBeAsync(400);

        var derived = await (await DeriveAsync(middle, owner, "base", """[{"name": "cap", "when": [{"column": "x", "is": ">", "value": 1}], "then": {"cap": 5}}]""")).ShouldBeAsync(201);
        derived.GetProperty("rules").GetRawText().ShouldBe("""[{"name":"cap","then":{"cap":5},"when":[{"column":"x","is":">","value":1}]}]""");

        await ShareAsync(middle, "mine", last);
        await last.RegisterAsync("mine");
        var next = await (await DeriveAsync(last, middle, "mine", """[{"name": "plus", "then": {"add": 1}}]""")).ShouldBeAsync(201);
        next.GetProperty("rules").EnumerateArray().Select(rule => rule.GetProperty("name").GetString()).ShouldBe(["cap", "plus"]);
        await (await last.Developer.PostAsJsonAsync("api/v1/inference/endpoints", new { name = "live", model = "mine", alias = "1" })).ShouldBeAsync(201);
        // x + 1, at most 5, plus 1.
        (await (await last.Developer.PostAsJsonAsync("api/v1/inference/endpoints/live/predict", new { inputs = new { x = 20 } })).ShouldBeAsync(200)).GetProperty("prediction").GetDouble().ShouldBe(6);
    }

    [Fact]
    public async Task Inside_a_composite_rules_would_not_hold_so_a_version_with_some_is_no_member()
    {
        var (owner, tenant) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await owner.RegisterWithVersionAsync("base");
        await ShareAsync(owner, "base", tenant);
        await tenant.RegisterWithVersionAsync("mine");
        await (await DeriveAsync(tenant, owner, "base", """[{"name": "cap", "then": {"cap": 5}}]""")).ShouldBeAsync(201);
        object members = new { kind = "weighted-mean", members = new[] { new { model = "mine", version = 1 }, new { model = "mine", version = 2 } } };
        var refused = await (await tenant.Developer.PostAsJsonAsync($"{TestModels.Models}/mine/composite-versions", members)).ShouldRefuseAsync(400, "member-has-rules");
        refused.GetProperty("field").GetString().ShouldBe("members[1]");
    }

    private static VersionRule Read(string rule) => JsonSerializer.Deserialize<VersionRule>(rule, JsonSerializerOptions.Web)!;

    private static Platform.Kernel.Refusal? Judge(params string[] rules) => VersionRules.Judge([.. rules.Select(Read)], [new("of-base", new RuleAction(Floor: 1))], Price, Columns, "price");

    private static async Task ShareAsync(TestTenant owner, string model, TestTenant with) =>
        await (await owner.Admin.PutAsJsonAsync($"{TestModels.Models}/{model}/versions/1/sharing", new { tenants = new[] { with.Id } })).ShouldBeAsync(200);

    private static Task<HttpResponseMessage> DeriveAsync(TestTenant by, TestTenant from, string model, string rules) =>
        by.Developer.PostAsJsonAsync($"{TestModels.Models}/mine/derived-versions", new { from = new { tenant = from.Id, model, version = 1 }, rules = JsonNode.Parse(rules) });
}
