using System.Buffers;
using System.Text;
using System.Text.Json;
using CsCheck;
using Platform.Inference.Predict;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;
using Platform.Registry.Contracts;

namespace Inference.Tests.Predict.Rules;

/// <summary>What rules do to the numbers of one call.</summary>
public sealed class PlanRulesTests
{
    private const string Row = """{"size": 12.1, "city": "north", "sold": "2014-10-13"}""";

    [Theory]
    [InlineData("""{"floor": 0}""", -5, 0)]
    [InlineData("""{"floor": 0}""", 5, 5)]
    [InlineData("""{"cap": 100}""", 150, 100)]
    [InlineData("""{"multiply": 1.5}""", 10, 15)]
    [InlineData("""{"multiply": -2}""", 10, -20)]
    [InlineData("""{"add": -2.5}""", 10, 7.5)]
    [InlineData("""{"round": 1000}""", 1499.5, 1000)]
    [InlineData("""{"round": 1000}""", 1500, 2000)]
    [InlineData("""{"round": 1000}""", -1500, -2000)]
    [InlineData("""{"round": 0.01}""", 3.14159, 3.14)]
    public void Each_action_does_what_it_says(string then, float before, float after)
    {
        using var asked = Ask($$"""[{"name": "r", "then": {{then}}}]""", Row, before);
        asked.Prediction().ShouldBe(after);
        asked.Fired().ShouldBe(before == after ? [] : ["r"]);
    }

    [Fact]
    public void Rules_go_in_order_each_on_what_the_one_before_it_left()
    {
        using var asked = Ask("""
            [{"name": "premium", "then": {"multiply": 2}}, {"name": "cap", "then": {"cap": 150}}, {"name": "never", "when": [{"prediction": true, "is": ">", "value": 150}], "then": {"add": 1000}},
             {"name": "at-cap", "when": [{"prediction": true, "is": "=", "value": 150}], "then": {"flag": "Capped."}}, {"name": "fee", "then": {"add": 5}}]
            """, Row, 100);
        asked.Prediction().ShouldBe(155);
        asked.Told().ShouldBe("""{"before":100,"fired":[{"name":"premium","prediction":200},{"name":"cap","prediction":150},{"name":"at-cap","flag":"Capped."},{"name":"fee","prediction":155}]}""");

        using var other = Ask("""[{"name": "cap", "then": {"cap": 150}}, {"name": "premium", "then": {"multiply": 2}}]""", Row, 100);
        other.Prediction().ShouldBe(200);
    }

    [Theory]
    [InlineData("""{"column": "size", "is": "=", "value": 12.1}""", true)]
    [InlineData("""{"column": "size", "is": "!=", "value": 12.1}""", false)]
    [InlineData("""{"column": "size", "is": "<=", "value": 12.1}""", true)]
    [InlineData("""{"column": "size", "is": ">", "value": 12.1}""", false)]
    [InlineData("""{"column": "size", "is": ">=", "value": 12}""", true)]
    [InlineData("""{"column": "size", "in": [1, 12.1]}""", true)]
    [InlineData("""{"column": "size", "is": "missing"}""", false)]
    [InlineData("""{"column": "city", "is": "=", "value": "north"}""", true)]
    [InlineData("""{"column": "city", "is": "!=", "value": "north"}""", false)]
    [InlineData("""{"column": "city", "in": ["west", "north"]}""", true)]
    [InlineData("""{"column": "city", "in": ["west", "nor"]}""", false)]
    [InlineData("""{"column": "sold", "is": "=", "value": "2014-10-13"}""", true)]
    [InlineData("""{"column": "sold", "is": "<", "value": "2014-10-13"}""", false)]
    [InlineData("""{"prediction": true, "is": "<", "value": 100.5}""", true)]
    public void A_condition_compares_as_the_column_has_it(string condition, bool holds)
    {
        using var asked = Ask($$"""[{"name": "r", "when": [{{condition}}], "then": {"add": 1} }]""", Row, 100);
        asked.Prediction().ShouldBe(holds ? 101 : 100);
    }

    [Theory]
    [InlineData("city", "\"north\"")]
    [InlineData("sold", "\"2014-10-13\"")]
    public void Of_a_missing_value_nothing_is_so_but_that_it_is_missing(string column, string value)
    {
        foreach (var condition in new[] { $$"""{"column": "{{column}}", "is": "=", "value": {{value}}}""", $$"""{"column": "{{column}}", "is": "!=", "value": {{value}}}""", $$"""{"column": "{{column}}", "in": [{{value}}]}""" })
        {
            using var asked = Ask($$"""[{"name": "r", "when": [{{condition}}], "then": {"add": 1} }]""", """{"size": 1}""", 100);
            asked.Prediction().ShouldBe(100, condition);
        }
        using var missing = Ask($$"""[{"name": "r", "when": [{"column": "{{column}}", "is": "missing"}], "then": {"add": 1} }]""", """{"size": 1}""", 100);
        missing.Prediction().ShouldBe(101);
    }

    [Fact]
    public void All_conditions_must_hold_and_each_row_is_by_itself()
    {
        using var asked = Ask("""[{"name": "r", "when": [{"column": "size", "is": ">", "value": 10}, {"column": "city", "is": "=", "value": "north"}], "then": {"floor": 500}}]""",
            """[{"size": 11, "city": "north"}, {"size": 9, "city": "north"}, {"size": 11, "city": "south"}, {"size": 20, "city": "north"}]""", 100, 200, 300, 400);
        asked.Predictions().ShouldBe([500, 200, 300, 500]);
        asked.Kept().ShouldBe("""[{"row":0,"before":100,"fired":[{"name":"r","prediction":500}]},{"row":3,"before":400,"fired":[{"name":"r","prediction":500}]}]""");
        asked.Told(1).ShouldBe("""{"before":200,"fired":[]}""");
    }

    [Fact]
    public void The_interval_goes_the_way_of_its_prediction()
    {
        // The table's half-width is 10 around 150, whatever the rules make of the number.
        Bounds("""[{"name": "cap", "then": {"cap": 155}}]""", 150).ShouldBe((140, 155));
        Bounds("""[{"name": "cap", "then": {"cap": 120}}]""", 150).ShouldBe((120, 120));
        Bounds("""[{"name": "floor", "then": {"floor": 145}}]""", 150).ShouldBe((145, 160));
        Bounds("""[{"name": "double", "then": {"multiply": 2}}, {"name": "less", "then": {"add": -1}}]""", 150).ShouldBe((279, 319));
        Bounds("""[{"name": "loss", "then": {"multiply": -1}}]""", 150).ShouldBe((-160, -140));
        Bounds("""[{"name": "whole", "then": {"round": 100}}]""", 150).ShouldBe((100, 200));
        Bounds("""[{"name": "flag", "then": {"flag": "Look."}}]""", 150).ShouldBe((140, 160));
        // One number by the floor; the prediction is rounded to its datatype on the way there and back, and is still within.
        Bounds("""[{"name": "floor", "then": {"floor": 155.5}}, {"name": "up", "then": {"add": 8388608.25}}, {"name": "down", "then": {"add": -8388608.25}}]""", 130).ShouldBe((155.5, 155.75));

        static (double, double) Bounds(string rules, float prediction)
        {
            using var asked = Ask(rules, Row, prediction);
            return asked.Work.Ruled!.BoundsOf(0);
        }
    }

    [Fact]
    public void Whatever_the_rules_are_the_prediction_stays_within_its_interval_and_a_bound_is_never_passed()
    {
        var rule = Gen.Select(Gen.Int[0, 4], Gen.Double[-1e6, 1e6], (act, value) => act switch
        {
            0 => $$"""{"floor": {{value:R}}}""",
            1 => $$"""{"cap": {{value:R}}}""",
            2 => $$"""{"multiply": {{value / 1e5:R}}}""",
            3 => $$"""{"add": {{value:R}}}""",
            _ => $$"""{"round": {{Math.Abs(value) + 0.001:R}}}""",
        });
        Gen.Select(rule.Array[1, 5], Gen.Float[-1e6f, 1e6f], Gen.Double[-1e6, 1e6], Gen.Bool).Sample((rules, prediction, last, isCap) =>
        {
            string[] all = [.. rules, $$"""{"{{(isCap ? "cap" : "floor")}}": {{last:R}}}"""];
            using var asked = Ask($"[{string.Join(",", all.Select((then, i) => $$"""{"name": "r{{i}}", "then": {{then}}}"""))}]", Row, prediction);
            var (lower, upper) = asked.Work.Ruled!.BoundsOf(0);
            // As it is written, with the digits of a float.
            var read = double.Parse(asked.Prediction().ToString("R"));
            var slack = (Math.Abs(read) * 1e-6) + 1e-3;
            (read >= lower - slack && read <= upper + slack).ShouldBeTrue($"{read} in {lower} to {upper}");
            (isCap ? read <= last && upper <= last : read >= last && lower >= last).ShouldBeTrue($"{read} and {last}");
        }, iter: 300);
    }

    [Fact]
    public void A_bound_that_the_datatype_cannot_hold_is_not_passed_and_one_that_reads_the_same_is_itself()
    {
        using (var asked = Ask("""[{"name": "cap", "then": {"cap": 499999.99}}]""", Row, 600_000)) asked.Prediction().ShouldBe(499999.97f);
        using (var asked = Ask("""[{"name": "floor", "then": {"floor": 500000.01}}]""", Row, 1)) asked.Prediction().ShouldBe(500000.03f);
        using (var asked = Ask("""[{"name": "cap", "then": {"cap": 0.1}}]""", Row, 1)) asked.Told().ShouldContain("\"prediction\":0.1}");
    }

    [Fact]
    public void A_refused_row_refuses_the_call_and_names_every_row_like_it()
    {
        const string rules = """[{"name": "small", "when": [{"column": "size", "is": ">", "value": 10}], "then": {"refuse": "Too large for this model."}}, {"name": "after", "then": {"add": 1}}]""";
        using var asked = Ask(rules, """[{"size": 1}, {"size": 11}, {"size": 2}, {"size": 12}]""", 1, 2, 3, 4);
        var refusal = asked.Refusal.ShouldNotBeNull();
        (refusal.Kind, refusal.Code, refusal.Field).ShouldBe((RefusalKind.Declined, "refused-by-rule", "inputs[1]"));
        refusal.Detail.ShouldBe("The rule 'small' refuses row 1: Too large for this model.");
        refusal.Errors.Select(error => error.Field).ShouldBe(["inputs[1]", "inputs[3]"]);

        using var single = Ask(rules, """{"size": 11}""", 1);
        (single.Refusal!.Field, single.Refusal.Errors.Count).ShouldBe(("inputs", 0));
        using var fine = Ask(rules, """{"size": 1}""", 1);
        fine.Prediction().ShouldBe(2);
    }

    [Fact]
    public void What_is_no_number_or_would_become_none_is_refused()
    {
        using (var asked = Ask("""[{"name": "floor", "then": {"floor": 0}}]""", Row, float.NaN)) asked.Refusal!.Code.ShouldBe("no-finite-prediction");
        using (var asked = Ask("""[{"name": "huge", "then": {"multiply": 1e38}}]""", Row, 1e10f)) asked.Refusal!.Detail.ShouldContain("'huge'");
    }

    [Fact]
    public void Tensors_that_are_not_one_value_a_row_are_refused_and_an_output_that_is_not_asked_for_is_left_alone()
    {
        var plan = Plans.Houses(rules: Rules("""[{"name": "r", "when": [{"column": "size", "is": ">", "value": 10}], "then": {"cap": 1}}]"""));
        using var work = new PredictionWork(plan);
        (work.Units, work.Wanted) = (2, plan.AllOutputs);
        work.Tensors.Inputs[0].Resize(1);
        work.Tensors.Outputs[0].Resize(2);
        (plan.Rules!.Apply(work)!.Code, plan.Rules.Apply(work)!.Field).ShouldBe(("wrong-shape", "size"));
        work.Tensors.Inputs[0].Resize(2);
        work.Tensors.Outputs[0].Resize(3);
        plan.Rules.Apply(work)!.Code.ShouldBe("model-failed");

        work.Tensors.Outputs[0].Resize(2);
        foreach (var value in new[] { 0, 1 })
        {
            work.Tensors.Inputs[0].Set(value, 20f);
            work.Tensors.Outputs[0].Set(value, 5f);
        }
        work.Wanted = [];
        plan.Rules.Apply(work).ShouldBeNull();
        (work.Tensors.Outputs[0].Values<float>()[0], work.Ruled!.IsApplied).ShouldBe((5f, false));
        work.Wanted = plan.AllOutputs;
        plan.Rules.Apply(work).ShouldBeNull();
        work.Tensors.Outputs[0].Values<float>().ToArray().ShouldBe([1f, 1]);
    }

    [Fact]
    public void A_work_that_is_used_again_remembers_nothing_and_rows_cost_no_objects()
    {
        var plan = Plans.Houses(rules: Rules("""[{"name": "r", "when": [{"column": "city", "in": ["north", "south"]}, {"prediction": true, "is": ">", "value": 1}], "then": {"cap": 1}}, {"name": "f", "then": {"flag": "Look."}}]"""));
        using var work = new PredictionWork(plan);
        var body = Encoding.UTF8.GetBytes($$"""{"inputs": [{{string.Join(",", Enumerable.Repeat("""{"size": 1, "city": "north"}""", 1000))}}]}""");
        Fill();
        plan.Rules!.Apply(work).ShouldBeNull();
        work.Clear();
        Fill();
        var before = GC.GetAllocatedBytesForCurrentThread();
        var refusal = plan.Rules.Apply(work);
        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBe(0);
        refusal.ShouldBeNull();
        var kept = JsonDocument.Parse(Kept(work)).RootElement;
        (kept.GetArrayLength(), kept[999].GetProperty("fired").GetArrayLength()).ShouldBe((1000, 2));

        void Fill()
        {
            PredictRequest.Read(body, work, out _).ShouldBeNull();
            PredictRequest.Complete(work).ShouldBeNull();
            (work.Units, work.Wanted) = (work.Rows, plan.PredictionOutput);
            work.Tensors.Outputs[0].Resize(work.Rows);
            work.Tensors.Outputs[0].Values<float>().Fill(7);
        }
    }

    [Fact]
    public void A_rule_that_this_server_does_not_know_is_not_served_without() =>
        Should.Throw<ModelLoadException>(() => Plans.Houses(rules: [new("later", new RuleAction())])).Message.ShouldContain("'later'");

    private static List<VersionRule> Rules(string json) => JsonSerializer.Deserialize<List<VersionRule>>(json, JsonSerializerOptions.Web)!;

    private static Asked Ask(string rules, string inputs, params float[] predictions)
    {
        var plan = Plans.Houses(rules: Rules(rules));
        var work = new PredictionWork(plan);
        PredictRequest.Read(Encoding.UTF8.GetBytes($$"""{"inputs": {{inputs}}}"""), work, out _).ShouldBeNull();
        PredictRequest.Complete(work).ShouldBeNull();
        (work.Units, work.Wanted) = (work.Rows, plan.PredictionOutput);
        work.Tensors.Outputs[0].Resize(work.Rows);
        predictions.CopyTo(work.Tensors.Outputs[0].Values<float>());
        return new Asked(work, plan.Rules!.Apply(work));
    }

    private static string Kept(PredictionWork work)
    {
        var entry = new Platform.Inference.Predict.Journal.JournalEntry();
        entry.Begin(durable: false);
        work.Ruled!.WriteTo(entry, work.Json).ShouldBeNull();
        // Behind the count of fields and the length of this one.
        return Encoding.UTF8.GetString(entry.Bytes[6..]);
    }

    private sealed record Asked(PredictionWork Work, Refusal? Refusal) : IDisposable
    {
        public float[] Predictions()
        {
            Refusal.ShouldBeNull();
            return Work.Tensors.Outputs[0].Values<float>().ToArray();
        }

        public float Prediction() => Predictions()[0];

        public string Told(int row = 0)
        {
            var told = new ArrayBufferWriter<byte>();
            Work.Json.Reset(told);
            Work.Ruled!.Write(Work.Json, row, Predictions()[row]);
            Work.Json.Flush();
            return Encoding.UTF8.GetString(told.WrittenSpan);
        }

        public string[] Fired() => [.. JsonDocument.Parse(Told()).RootElement.GetProperty("fired").EnumerateArray().Select(fired => fired.GetProperty("name").GetString()!)];

        public string Kept() => PlanRulesTests.Kept(Work);

        public void Dispose() => Work.Dispose();
    }
}
