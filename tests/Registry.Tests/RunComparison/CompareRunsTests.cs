using System.Text;
using System.Text.Json;
using Platform.Testing;
using Registry.Tests.Mlflow;

namespace Registry.Tests.RunComparison;

public sealed class CompareRunsTests
{
    private const string Compare = "api/v1/registry/runs/compare";

    [Fact]
    public async Task A_run_that_errs_less_on_the_same_rows_is_told_from_the_other_with_an_interval_and_in_words()
    {
        var tenant = await TestTenant.NewAsync();
        var (good, bad) = (await RunAsync(tenant, "good", "evaluation.csv", Csv(300, 1)), await RunAsync(tenant, "bad", "eval_results_table.json", Split(300, 3)));

        var answer = await ComparedAsync(tenant, $"{Compare}?runs={good},{bad}");
        answer.GetProperty("loss").GetString().ShouldBe("squared");
        var told = answer.GetProperty("differences").EnumerateArray().Single();
        // The errors are known: 1 · noise and 3 · noise, so the squared ones differ by 8 · noise².
        var expected = Enumerable.Range(0, 300).Average(i => -8 * Noise(i) * Noise(i));
        told.GetProperty("difference").GetDouble().ShouldBe(expected, 1e-6);
        told.GetProperty("lower").GetDouble().ShouldBeLessThan(expected);
        told.GetProperty("upper").GetDouble().ShouldBeInRange(expected, -1e-9);
        (told.GetProperty("rows").GetInt32(), told.GetProperty("resamples").GetInt32(), told.GetProperty("interval").GetString()).ShouldBe((300, 10_000, "percentile, 95 %"));
        told.GetProperty("canBeTold").GetBoolean().ShouldBeTrue();
        told.GetProperty("pValue").GetDouble().ShouldBeLessThan(0.001);
        told.GetProperty("probabilityAIsLower").GetDouble().ShouldBe(1);
        told.GetProperty("inWords").GetString()!.ShouldStartWith("The mean squared error of 'good' is lower than that of 'bad' by ");

        var again = await ComparedAsync(tenant, $"{Compare}?runs={good},{bad}");
        again.GetRawText().ShouldBe(answer.GetRawText());
        var swapped = (await ComparedAsync(tenant, $"{Compare}?runs={bad},{good}&loss=absolute")).GetProperty("differences").EnumerateArray().Single();
        swapped.GetProperty("inWords").GetString()!.ShouldContain("'bad' is higher than that of 'good'");
        swapped.GetProperty("difference").GetDouble().ShouldBe(Enumerable.Range(0, 300).Average(i => 2 * Math.Abs(Noise(i))), 1e-6);
    }

    [Fact]
    public async Task Runs_that_predict_the_same_have_exactly_no_difference_and_runs_that_hardly_differ_are_not_told_apart()
    {
        var tenant = await TestTenant.NewAsync();
        var (one, same) = (await RunAsync(tenant, "one", "evaluation.csv", Csv(100, 1)), await RunAsync(tenant, "same", "evaluation.csv", Csv(100, 1)));
        var nothing = (await ComparedAsync(tenant, $"{Compare}?runs={one},{same}")).GetProperty("differences").EnumerateArray().Single();
        (nothing.GetProperty("difference").GetDouble(), nothing.GetProperty("lower").GetDouble(), nothing.GetProperty("upper").GetDouble(), nothing.GetProperty("pValue").GetDouble()).ShouldBe((0, 0, 0, 1));
        nothing.GetProperty("inWords").GetString()!.ShouldStartWith("There is no difference");

        // As far from the truth, to the other side for every second row.
        var other = await RunAsync(tenant, "other", "evaluation.csv", "target,prediction\n" + string.Concat(Enumerable.Range(0, 100).Select(i => $"{Truth(i)},{Truth(i) + (Noise(i) * (i % 2 == 0 ? 1.02 : -0.98))}\n")));
        var little = (await ComparedAsync(tenant, $"{Compare}?runs={one},{other}")).GetProperty("differences").EnumerateArray().Single();
        little.GetProperty("canBeTold").GetBoolean().ShouldBeFalse();
        little.GetProperty("inWords").GetString()!.ShouldStartWith("No difference can be told");
    }

    [Fact]
    public async Task Rows_are_paired_by_an_id_where_one_is_named_and_by_place_only_when_the_truths_agree()
    {
        var tenant = await TestTenant.NewAsync();
        var ahead = await RunAsync(tenant, "ahead", "evaluation.csv", "row,y,yhat\n" + string.Concat(Enumerable.Range(0, 50).Select(i => $"r{i},{Truth(i)},{Truth(i) + 1}\n")));
        var back = await RunAsync(tenant, "back", "evaluation.csv", "row,y,yhat\n" + string.Concat(Enumerable.Range(0, 50).Reverse().Select(i => $"r{i},{Truth(i)}.0,{Truth(i) + 1}\n")));
        const string Columns = "&truth=y&prediction=yhat&loss=absolute";

        var paired = (await ComparedAsync(tenant, $"{Compare}?runs={ahead},{back}{Columns}&id=row")).GetProperty("differences").EnumerateArray().Single();
        (paired.GetProperty("rows").GetInt32(), paired.GetProperty("difference").GetDouble(), paired.GetProperty("meanA").GetDouble()).ShouldBe((50, 0, 1));

        var byPlace = await (await tenant.Viewer.GetAsync($"{Compare}?runs={ahead},{back}{Columns}")).ShouldRefuseAsync(409, "not-the-same-rows");
        byPlace.GetProperty("detail").GetString()!.ShouldContain("the truth of row 1 is");
        byPlace.GetProperty("mend").GetString()!.ShouldContain("id column");

        var fewer = await RunAsync(tenant, "fewer", "evaluation.csv", "row,y,yhat\n" + string.Concat(Enumerable.Range(0, 49).Select(i => $"r{i},{Truth(i)},0\n")));
        (await (await tenant.Viewer.GetAsync($"{Compare}?runs={ahead},{fewer}{Columns}&id=row")).ShouldRefuseAsync(409, "not-the-same-rows")).GetProperty("detail").GetString()!.ShouldContain("'ahead' has a row 'r49' that 'fewer' has not");
        (await (await tenant.Viewer.GetAsync($"{Compare}?runs={fewer},{ahead}{Columns}&id=row")).ShouldRefuseAsync(409, "not-the-same-rows")).GetProperty("detail").GetString()!.ShouldContain("'ahead' has a row 'r49' that 'fewer' has not");
        (await (await tenant.Viewer.GetAsync($"{Compare}?runs={ahead},{fewer}{Columns}")).ShouldRefuseAsync(409, "not-the-same-rows")).GetProperty("detail").GetString()!.ShouldContain("50 rows");
        var twice = await RunAsync(tenant, "twice", "evaluation.csv", "row,y,yhat\n" + string.Concat(Enumerable.Range(0, 50).Select(i => $"r{i / 2},{Truth(i / 2)},0\n")));
        (await (await tenant.Viewer.GetAsync($"{Compare}?runs={ahead},{twice}{Columns}&id=row")).ShouldRefuseAsync(409, "not-the-same-rows")).GetProperty("detail").GetString()!.ShouldContain("more than once");
    }

    [Fact]
    public async Task Classes_are_compared_by_their_share_of_errors_and_probabilities_by_log_loss()
    {
        var tenant = await TestTenant.NewAsync();
        var (a, b) = (await RunAsync(tenant, "a", "evaluation.csv", Classes(10)), await RunAsync(tenant, "b", "evaluation.csv", Classes(2)));
        var shares = await ComparedAsync(tenant, $"{Compare}?runs={a},{b}");
        shares.GetProperty("loss").GetString().ShouldBe("zero-one");
        var told = shares.GetProperty("differences").EnumerateArray().Single();
        (told.GetProperty("meanA").GetDouble(), told.GetProperty("meanB").GetDouble()).ShouldBe((0.1, 0.5));
        told.GetProperty("inWords").GetString()!.ShouldContain("share of errors of 'a' is lower");

        var (sure, unsure) = (await RunAsync(tenant, "sure", "evaluation.csv", Chances(0.9)), await RunAsync(tenant, "unsure", "evaluation.csv", Chances(0.6)));
        var log = (await ComparedAsync(tenant, $"{Compare}?runs={sure},{unsure}&loss=log")).GetProperty("differences").EnumerateArray().Single();
        log.GetProperty("meanA").GetDouble().ShouldBe(-Math.Log(0.9), 1e-12);
        log.GetProperty("difference").GetDouble().ShouldBe(Math.Log(0.6 / 0.9), 1e-12);
        (await (await tenant.Viewer.GetAsync($"{Compare}?runs={a},{b}&loss=log")).ShouldRefuseAsync(400, "bad-evaluation")).GetProperty("detail").GetString()!.ShouldContain("row 1", Case.Insensitive);
        (await (await tenant.Viewer.GetAsync($"{Compare}?runs={a},{b}&loss=squared")).ShouldRefuseAsync(400, "bad-evaluation")).GetProperty("detail").GetString()!.ShouldContain("use loss=zero-one");

        static string Classes(int wrongEvery) => "label,outputs\n" + string.Concat(Enumerable.Range(0, 100).Select(i => $"cat,{(i % wrongEvery == 0 ? "dog" : "cat")}\n"));
        static string Chances(double given) => "target,prediction\n" + string.Concat(Enumerable.Range(0, 100).Select(i => $"{i % 2},{(i % 2 == 1 ? given : 1 - given)}\n"));
    }

    [Fact]
    public async Task What_cannot_be_compared_is_refused_with_the_reason()
    {
        var tenant = await TestTenant.NewAsync();
        var good = await RunAsync(tenant, "good", "evaluation.csv", Csv(20, 1));
        var none = await tenant.NewRunAsync();
        (await (await tenant.Viewer.GetAsync($"{Compare}?runs={good},{none}")).ShouldRefuseAsync(404, "no-evaluation")).GetProperty("mend").GetString()!.ShouldContain("evaluation.csv");
        await (await tenant.Viewer.GetAsync($"{Compare}?runs={good}")).ShouldRefuseAsync(400, "invalid-field");
        await (await tenant.Viewer.GetAsync($"{Compare}?runs={good},{good}")).ShouldRefuseAsync(400, "invalid-field");
        await (await tenant.Viewer.GetAsync($"{Compare}?runs={good},{Guid.NewGuid():N}")).ShouldRefuseAsync(404, "no-such-run");
        await (await tenant.Viewer.GetAsync($"{Compare}?runs={good},nothing")).ShouldRefuseAsync(404, "no-such-run");
        await (await tenant.Viewer.GetAsync($"{Compare}?runs={good},{none}&loss=hinge")).ShouldRefuseAsync(400, "invalid-field");
        await (await tenant.Viewer.GetAsync($"{Compare}?runs={good},{none}&artifact=../secrets.csv")).ShouldRefuseAsync(400, "bad-path");

        foreach (var (name, content, said) in new[]
        {
            ("evaluation.csv", "", "cannot be read as a CSV"), ("evaluation.csv", "a,b\n1,2\n", "none of the columns target, truth, label"), ("evaluation.csv", "target,prediction\n", "no rows"),
            ("evaluation.csv", "target,prediction\n1\n", "1 values where there are 2 columns"), ("eval_results_table.json", "{\"columns\":", "not JSON"), ("eval_results_table.json", "[1]", "not a table"),
            ("eval_results_table.json", """{"columns":["target","outputs"],"data":[[1]]}""", "Row 1"), ("eval_results_table.json", """{"columns":["target","outputs"],"data":[[1,"x\u0000"],[2,{}]]}""", "same rows"),
        })
        {
            var broken = await RunAsync(tenant, "broken", name, content);
            var answer = await tenant.Viewer.GetAsync($"{Compare}?runs={good},{broken}");
            ((int)answer.StatusCode).ShouldBeOneOf([400, 409], $"{content} got {await answer.Content.ReadAsStringAsync()}");
            var problem = JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement;
            problem.GetProperty("detail").GetString()!.ShouldContain(said);
            problem.GetProperty("mend").GetString().ShouldNotBeNullOrEmpty();
        }

        var stranger = await TestTenant.NewAsync();
        await (await stranger.Viewer.GetAsync($"{Compare}?runs={good},{none}")).ShouldRefuseAsync(404, "no-such-run");
    }

    private static async Task<JsonElement> ComparedAsync(TestTenant tenant, string url) => await (await tenant.Viewer.GetAsync(url)).ShouldBeAsync(200);

    private static async Task<string> RunAsync(TestTenant tenant, string name, string file, string content)
    {
        var run = await tenant.NewRunAsync("0", 1, [new { key = "mlflow.runName", value = name }]);
        await (await tenant.Developer.PutFileAsync($"0/{run}/artifacts/{file}", content)).ShouldBeAsync(200);
        return run;
    }

    private static int Truth(int row) => 100 + (row * 7 % 50);

    private static double Noise(int row) => ((row * 37 % 101) - 50) / 50.0;

    private static string Csv(int rows, double error) => "target,prediction\n" + string.Concat(Enumerable.Range(0, rows).Select(i => $"{Truth(i)},{Truth(i) + (error * Noise(i)):R}\n"));

    /// <summary>As mlflow.evaluate writes it.</summary>
    private static string Split(int rows, double error)
    {
        var json = new StringBuilder("""{"columns":["area","target","outputs"],"data":[""");
        for (var i = 0; i < rows; i++) json.Append($"{(i == 0 ? "" : ",")}[{i},{Truth(i)},{Truth(i) + (error * Noise(i)):R}]");
        return json.Append("]}").ToString();
    }
}
