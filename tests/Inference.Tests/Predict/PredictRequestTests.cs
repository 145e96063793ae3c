using System.Text;
using CsCheck;
using Platform.Inference.Predict;
using Platform.Kernel;

namespace Inference.Tests.Predict;

public sealed class PredictRequestTests
{
    private static readonly ServingPlan Houses = Plans.Houses();

    [Fact]
    public void A_row_of_named_columns_fills_the_tensors_whatever_the_order()
    {
        using var work = Read("""{"inputs": {"sold": "1970-01-11", "city": "s\u00fcd", "size": 12.5}}""").ShouldBeOk();
        work.Tensors.Inputs[0].Values<float>().ToArray().ShouldBe([12.5f]);
        Encoding.UTF8.GetString(work.Tensors.Inputs[1].Text(0)).ShouldBe("süd");
        work.Tensors.Inputs[2].Values<float>().ToArray().ShouldBe([10f]);
        work.Tensors.Inputs.ShouldAllBe(input => input.Shape.SequenceEqual(new long[] { 1, 1 }));
        work.IsList.ShouldBeFalse();
    }

    [Fact]
    public void What_may_be_missing_is_missing_as_the_model_learnt_it()
    {
        using var work = Read("""{"inputs": [{"size": 1}, {"size": 2, "city": null, "sold": null}]}""").ShouldBeOk();
        work.Tensors.Inputs[2].Values<float>().ToArray().ShouldBe([float.NaN, float.NaN]);
        work.Tensors.Inputs[1].Text(0).Length.ShouldBe(0);
        work.Tensors.Inputs[1].Text(1).Length.ShouldBe(0);
        work.IsList.ShouldBeTrue();
    }

    [Fact]
    public void A_category_may_be_sent_as_a_whole_number()
    {
        using var work = Read("""{"inputs": {"size": 1, "city": 98178}}""").ShouldBeOk();
        Encoding.UTF8.GetString(work.Tensors.Inputs[1].Text(0)).ShouldBe("98178");
    }

    [Theory]
    [InlineData("2014-10-13", 16356)]
    [InlineData("2014-10-13T23:59:59", 16356)]
    [InlineData("2014-10-13T23:59:59Z", 16356)]
    [InlineData("2014-10-13T23:30:00-02:00", 16357)]
    [InlineData("2014-10-13 10:00:00.123+02:00", 16356)]
    [InlineData("1969-12-31", -1)]
    [InlineData("0001-01-01", -719162)]
    [InlineData("2000-02-29", 11016)]
    public void A_date_is_days_since_1970_in_utc(string text, float days)
    {
        using var work = Read($$$"""{"inputs": {"size": 1, "sold": "{{{text}}}"}}""").ShouldBeOk();
        work.Tensors.Inputs[2].Values<float>()[0].ShouldBe(days);
    }

    [Theory]
    [InlineData("""{"inputs": {"sise": 1}}""", "unknown-column", "sise", "Did you mean 'size'?")]
    [InlineData("""{"inputs": {"colour of the door": 1}}""", "unknown-column", "colour of the door", "size, city, sold")]
    [InlineData("""{"inputs": [{"size": 1}, {"size": 1, "cty": "x"}]}""", "unknown-column", "inputs[1].cty", "city")]
    [InlineData("""{"inputs": {"city": "north"}}""", "missing-column", "size", "size")]
    [InlineData("""{"inputs": [{"size": 1}, {}]}""", "missing-column", "inputs[1].size", "size")]
    [InlineData("""{"inputs": {"size": null}}""", "null-for-required", "size", "Send a value")]
    [InlineData("""{"inputs": {"size": "12"}}""", "wrong-type", "size", "without quotes")]
    [InlineData("""{"inputs": {"size": true}}""", "wrong-type", "size", "number")]
    [InlineData("""{"inputs": {"size": [1]}}""", "wrong-type", "size", "number")]
    [InlineData("""{"inputs": {"size": {"a": 1}}}""", "wrong-type", "size", "number")]
    [InlineData("""{"inputs": {"size": "NaN"}}""", "not-finite", "size", "number")]
    [InlineData("""{"inputs": {"size": NaN}}""", "not-finite", "size", "number")]
    [InlineData("""{"inputs": {"size": -Infinity}}""", "not-finite", "size", "number")]
    [InlineData("""{"inputs": [{"size": 1}, {"size": Infinity}]}""", "not-finite", "inputs[1].size", "number")]
    [InlineData("""{"inputs": {"size": 1e39}}""", "number-out-of-range", "size", "hold")]
    [InlineData("""{"inputs": {"size": 1e999}}""", "number-out-of-range", "size", "hold")]
    [InlineData("""{"inputs": {"size": 1, "city": 1.5}}""", "wrong-type", "city", "quotes")]
    [InlineData("""{"inputs": {"size": 1, "city": false}}""", "wrong-type", "city", "quotes")]
    [InlineData("""{"inputs": {"size": 1, "city": "\ud800"}}""", "bad-text", "city", "surrogates")]
    [InlineData("""{"inputs": {"size": 1, "\ud800": 1}}""", "bad-text", "body", "surrogates")]
    [InlineData("""{"inputs": {"size": 1, "sold": "13/10/2014"}}""", "bad-date", "sold", "2014-10-13")]
    [InlineData("""{"inputs": {"size": 1, "sold": "10/13/2014 10:00"}}""", "bad-date", "sold", "2014-10-13")]
    [InlineData("""{"inputs": {"size": 1, "sold": "2014-02-30"}}""", "bad-date", "sold", "2014-10-13")]
    [InlineData("""{"inputs": {"size": 1, "sold": 20141013}}""", "wrong-type", "sold", "2014-10-13")]
    [InlineData("""{"inputs": {"size": 1, "size": 2}}""", "duplicate-column", "size", "once")]
    [InlineData("""{"inputs": {"size": 1}, "inputs": {}}""", "duplicate-member", "inputs", "once")]
    [InlineData("""{"inputs": []}""", "no-rows", "inputs", "at least one")]
    [InlineData("""{"inputs": [1]}""", "wrong-type", "inputs[0]", "column")]
    [InlineData("""{"inputs": "size"}""", "wrong-type", "inputs", "object")]
    [InlineData("""{"input": {"size": 1}}""", "unknown-member", "input", "Did you mean 'inputs'?")]
    [InlineData("""{}""", "missing-inputs", "inputs", "inputs")]
    [InlineData("""{"options": {"interval": true}}""", "missing-inputs", "inputs", "inputs")]
    [InlineData("""{"inputs": {"size": 1}, "options": {"intervall": true}}""", "unknown-option", "options.intervall", "interval")]
    [InlineData("""{"inputs": {"size": 1}, "options": {"interval": 1}}""", "wrong-type", "options.interval", "true or false")]
    [InlineData("""{"inputs": {"size": 1}, "entities": "a"}""", "no-feature-view", "entities", "inputs")]
    [InlineData("""[]""", "wrong-type", "body", "inputs")]
    [InlineData("""{"inputs": {"size": 1}""", "malformed-json", "body", "missing")]
    [InlineData("""{"inputs": {"size": 1}} x""", "malformed-json", "body", "missing")]
    [InlineData("""{"inputs": {"size": 1,}}""", "malformed-json", "body", "missing")]
    [InlineData("""{'inputs': {}}""", "malformed-json", "body", "missing")]
    [InlineData("", "malformed-json", "body", "object")]
    [InlineData("   ", "malformed-json", "body", "missing")]
    public void Bad_input_is_refused_with_the_field_and_the_mend(string body, string code, string field, string mend)
    {
        var refusal = Read(body).Refusal.ShouldNotBeNull();
        (refusal.Code, refusal.Field).ShouldBe((code, field));
        refusal.Mend.ShouldNotBeNull().ShouldContain(mend);
        refusal.Detail.ShouldNotBeNullOrWhiteSpace();
    }

    [Fact]
    public void Malformed_json_names_line_and_byte() =>
        Read("{\"inputs\": {\n  \"size\": 1 \"city\": 2}}").Refusal!.Detail.ShouldContain("line 2, byte 13");

    [Fact]
    public void Deep_nesting_is_refused_and_not_followed() => Read(string.Concat(Enumerable.Repeat("{\"inputs\":", 10_000))).Refusal.ShouldNotBeNull();

    [Fact]
    public void A_thousand_rows_are_read_and_one_more_is_refused()
    {
        Read(Rows(1000)).ShouldBeOk().Rows.ShouldBe(1000);
        Read(Rows(1001)).Refusal!.Code.ShouldBe("too-many-rows");

        static string Rows(int count) => $$"""{"inputs": [{{string.Join(",", Enumerable.Repeat("""{"size": 1}""", count))}}]}""";
    }

    [Fact]
    public void Bytes_that_are_no_utf8_are_refused()
    {
        using var work = new PredictionWork(Houses);
        byte[] body = [.. "{\"inputs\": {\"city\": \""u8, 0xC3, 0x28, .. "\"}}"u8];
        PredictRequest.Read(body, work, out _)!.Code.ShouldBe("not-utf8");
    }

    [Fact]
    public void A_byte_order_mark_is_tolerated_and_the_journal_gets_the_right_part()
    {
        using var work = new PredictionWork(Houses);
        byte[] body = [0xEF, 0xBB, 0xBF, .. """ {"options": null, "inputs": {"size": 1} }"""u8];
        PredictRequest.Read(body, work, out var sent).ShouldBeNull();
        Encoding.UTF8.GetString(sent.Inputs).ShouldBe("""{"size": 1}""");
    }

    [Theory]
    [InlineData("\"4711\"", "wrong-type", "context")]
    [InlineData("[]", "wrong-type", "context")]
    [InlineData("{\"order\": 4711}", "wrong-type", "context.order")]
    [InlineData("{\"order\": null}", "wrong-type", "context.order")]
    [InlineData("{\"order\": {\"id\": \"1\"}}", "wrong-type", "context.order")]
    [InlineData("{\"order\": \"\\ud800\"}", "bad-text", "body")]
    [InlineData("{\"\\ud800\": \"1\"}", "bad-text", "body")]
    [InlineData("{}, \"context\": {}", "duplicate-member", "context")]
    public void A_context_is_an_object_of_texts(string context, string code, string field)
    {
        var refusal = Read("""{"inputs": {"size": 1}, "context": CONTEXT}""".Replace("CONTEXT", context)).Refusal!;
        (refusal.Code, refusal.Field).ShouldBe((code, field));
        refusal.Mend.ShouldNotBeNullOrEmpty();
    }

    [Fact]
    public void A_context_has_a_largest_size()
    {
        const string body = """{"inputs": {"size": 1}, "context": {"note":"X"}}""";
        using var work = Read(body.Replace("X", new string('x', 4096 - 11))).ShouldBeOk();
        Read(body.Replace("X", new string('x', 4096 - 10))).Refusal!.Code.ShouldBe("context-too-large");
        Read(body.Replace("X", string.Concat(Enumerable.Range(0, 700).Select(i => $"\",\"n{i}\":\"x")))).Refusal!.Code.ShouldBe("context-too-large");
    }

    [Fact]
    public void Entities_must_match_the_rows_and_may_stand_alone()
    {
        var plan = Plans.Houses(new FeatureEnrichment("view", "key", new HashSet<string> { "size" }));
        Read("""{"entities": "k1"}""", plan).Work.Rows.ShouldBe(1);
        Read("""{"entities": [1, "k2"]}""", plan).Work.Keys.ShouldBe(["1", "k2"]);
        Read("""{"inputs": {"size": 1}, "entities": ["k"]}""", plan).Refusal!.Code.ShouldBe("entities-do-not-match");
        Read("""{"inputs": [{"size": 1}], "entities": ["k", "l"]}""", plan).Refusal!.Code.ShouldBe("entities-do-not-match");
        Read("""{"entities": {"k": 1}}""", plan).Refusal!.Code.ShouldBe("wrong-type");
        Read("""{"entities": []}""", plan).Refusal!.Code.ShouldBe("no-rows");
    }

    [Fact]
    public void Whatever_the_bytes_are_the_outcome_is_rows_or_a_refusal()
    {
        var valid = """{"inputs": [{"size": 12.5, "city": "n\u00f6rd", "sold": "2014-10-13"}, {"size": 1e3}], "options": {"interval": true}}"""u8.ToArray();
        var mutations = Gen.Select(Gen.Int[0, valid.Length - 1], Gen.Byte, Gen.Int[0, 3]).List[0, 8];
        Gen.OneOf(Gen.Byte.Array[0, 200], mutations.Select(edits => Mutate(valid, edits)), Json.Select(text => Encoding.UTF8.GetBytes(text))).Sample(body =>
        {
            using var work = new PredictionWork(Houses);
            var refusal = PredictRequest.Read(body, work, out _) ?? PredictRequest.Complete(work);
            return refusal is not null ? refusal.Kind is RefusalKind.Invalid && refusal.Detail.Length > 0 : work.Rows is > 0 and <= 1000;
        }, iter: 30_000);
    }

    /// <summary>JSON that looks like a request, with the wrong things in the wrong places.</summary>
    internal static readonly Gen<string> Json = Gen.Recursive<string>((depth, inner) =>
    {
        var leaf = Gen.OneOf("1", "-0", "1e400", "null", "true", "\"\"", "\"size\"", "\"\\u0000\"", "\"\\ud800\"", "NaN", "[", "{}", "[]", "9223372036854775808", "\"2014-10-13\"");
        var name = Gen.OneOf("inputs", "entities", "options", "size", "city", "sold", "interval", "", "name", "shape", "datatype", "data", "outputs", "id", "x");
        return depth > 4 ? leaf : Gen.OneOf(leaf,
            Gen.Select(name, inner).List[0, 4].Select(members => "{" + string.Join(",", members.Select(member => $"\"{member.Item1}\":{member.Item2}")) + "}"),
            inner.List[0, 4].Select(items => "[" + string.Join(",", items) + "]"));
    });

    internal static byte[] Mutate(byte[] valid, List<(int At, byte By, int How)> edits)
    {
        var bytes = valid.ToList();
        foreach (var (at, by, how) in edits)
        {
            var index = Math.Min(at, bytes.Count - 1);
            if (index < 0) break;
            if (how == 0) bytes[index] = by;
            else if (how == 1) bytes.RemoveAt(index);
            else if (how == 2) bytes.Insert(index, by);
            else bytes.RemoveRange(index, bytes.Count - index);
        }
        return [.. bytes];
    }

    private static Outcome Read(string body, ServingPlan? plan = null)
    {
        var work = new PredictionWork(plan ?? Houses);
        var refusal = PredictRequest.Read(Encoding.UTF8.GetBytes(body), work, out _);
        if (refusal is null && work.Keys.Count == 0) refusal = PredictRequest.Complete(work);
        return new Outcome(work, refusal);
    }

    private sealed record Outcome(PredictionWork Work, Refusal? Refusal)
    {
        public PredictionWork ShouldBeOk()
        {
            Refusal.ShouldBeNull();
            return Work;
        }
    }
}
