using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using CsCheck;
using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;
using Platform.Registry.Onnx;
using Platform.Registry.Sharing;
using Platform.Testing;
using Registry.Tests.Models;
using Registry.Tests.Onnx;

namespace Registry.Tests.Sharing;

public sealed class IsotonicTests
{
    [Fact]
    public void Adjacent_violators_are_pooled_as_by_hand()
    {
        Fit((1, 1), (2, 3), (3, 2), (4, 4), (5, 3), (6, 5)).ShouldBe([new(1, 1), new(2, 2.5), new(3, 2.5), new(4, 3.5), new(5, 3.5), new(6, 5)]);
        // The same answer twice is one point of their mean, with the weight of both: (2 + 4 + 1) / 3 and not (3 + 1) / 2.
        Fit((3, 5), (1, 2), (1, 4), (2, 1)).ShouldBe([new(1, 7.0 / 3), new(2, 7.0 / 3), new(3, 5)]);
        // A pool that is pulled down may pull others down with it.
        Fit((1, 1), (2, 4), (3, 5), (4, 0)).ShouldBe([new(1, 1), new(2, 3), new(4, 3)]);
        Fit((1, 3), (2, 2), (3, 1)).ShouldBe([new(1, 2)]);
    }

    [Fact]
    public void The_graph_is_the_rising_function_of_least_squares_for_any_rows_and_any_batch()
    {
        Gen.Select(Gen.Select(Gen.Int[0, 40], Gen.Int[-50, 50]).Array[2, 30], Gen.Bool).Sample((rows, isDouble) =>
        {
            var points = rows.Select(r => (Answer: 1.0 + r.Item1, Truth: (double)r.Item2)).ToArray();
            var knots = IsotonicFit.Fit(points);
            if (knots.Count == 1) return;
            var graph = IsotonicFit.Write(Model(isDouble), "y", knots);
            var asked = points.Select(p => p.Answer - 1).Distinct().Order().ToArray();
            var answers = Ask(graph, isDouble, asked);
            for (var i = 0; i < asked.Length; i++) answers[i].ShouldBe(LeastSquares(points, asked[i] + 1), 1e-4);

            // Between and beyond: rising, and never outside what was seen to come true.
            double[] everywhere = [.. Enumerable.Range(0, 600).Select(i => (i * 0.1) - 5)];
            var all = Ask(graph, isDouble, everywhere);
            all.ShouldBeInOrder();
            var (least, most) = isDouble ? (knots[0].Becomes, knots[^1].Becomes) : ((float)knots[0].Becomes, (float)knots[^1].Becomes);
            all.ShouldAllBe(a => a >= least && a <= most);
            everywhere.Select(x => Ask(graph, isDouble, x).Single()).ShouldBe(all);
        }, iter: 40);
    }

    [Fact]
    public void Many_rows_make_few_knots_that_stay_near()
    {
        var knots = IsotonicFit.Fit(Enumerable.Range(0, 20_000).Select(i => (i / 100.0, Math.Sqrt(i))));
        knots.Count.ShouldBe(IsotonicFit.MostKnots);
        (knots[0], knots[^1]).ShouldBe((new Knot(0, 0), new Knot(199.99, Math.Sqrt(19_999))));
        var graph = IsotonicFit.Write(Model(isDouble: true), "y", knots);
        double[] asked = [.. Enumerable.Range(200, 19_000).Select(i => (i / 100.0) - 1)];
        Ask(graph, true, asked).Zip(asked).ShouldAllBe(a => Math.Abs(a.First - Math.Sqrt((a.Second + 1) * 100)) < 0.7);
    }

    [Theory]
    [InlineData(7)]
    [InlineData(12)]
    [InlineData(26)]
    public void It_stands_behind_the_output_in_any_operator_set_and_leaves_other_outputs_alone(int opset)
    {
        var model = SmallModel.With(m =>
        {
            m.OpsetImport[0].Version = opset;
            m.Graph.Node.Add(SmallModel.Node("Neg", ["y"], "negative"));
            m.Graph.Output.Add(SmallModel.Value("negative", 1, -1, 1));
        }).ToByteArray();
        var graph = IsotonicFit.Write(model, "y", [new(1, 10), new(3, 30)]);
        OnnxInspector.Inspect(graph).IsOk.ShouldBeTrue();
        using var session = OnnxSession.Open(graph);
        using var options = new RunOptions();
        using var x = OrtValue.CreateTensorValueFromMemory(new[] { -5f, 0.5f, 1f, 50f, float.PositiveInfinity }, [5, 1]);
        using var outputs = session.Run(options, ["x"], [x], ["y", "negative"]);
        outputs[0].GetTensorDataAsSpan<float>().ToArray().ShouldBe([10, 15, 20, 30, 30]);
        outputs[1].GetTensorDataAsSpan<float>().ToArray().ShouldBe([0, -1.5f, -2, -51, float.NegativeInfinity]);
    }

    [Fact]
    public async Task A_version_is_calibrated_to_what_rises_but_is_no_line()
    {
        var (owner, reader) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await owner.RegisterWithVersionAsync("base");
        await (await owner.Admin.PutAsJsonAsync($"{TestModels.Models}/base/versions/1/sharing", new { everyone = true })).ShouldBeAsync(200);
        await reader.RegisterAsync("mine");
        // The base says x + 1. What comes true levels off.
        double Curve(double x) => 100 * (1 - Math.Exp(-x / 40));
        await UploadAsync(reader, "curve", Enumerable.Range(0, 400).Select(i => (i % 200, Curve(i % 200) + ((i % 3) - 1))));
        await UploadAsync(reader, "falling", Enumerable.Range(0, 100).Select(i => (i, 100.0 - i)));
        await UploadAsync(reader, "flat", Enumerable.Range(0, 100).Select(i => (-50, (double)i)));

        var affine = await (await DeriveAsync(reader, owner, "curve", "affine")).ShouldBeAsync(201);
        var isotonic = await (await DeriveAsync(reader, owner, "curve", "isotonic")).ShouldBeAsync(201);
        var fitted = isotonic.GetProperty("customisation");
        fitted.GetProperty("method").GetString().ShouldBe("isotonic");
        fitted.GetProperty("fittedRows").GetInt32().ShouldBe(200);
        fitted.GetProperty("slope").ValueKind.ShouldBe(JsonValueKind.Null);
        Rmse(isotonic, "after").ShouldBeLessThan(1.5);
        Rmse(isotonic, "after").ShouldBeLessThan(Rmse(affine, "after") / 3);
        Rmse(isotonic, "before").ShouldBe(Rmse(affine, "before"));
        var knots = fitted.GetProperty("knots").EnumerateArray().Select(k => k.GetProperty("becomes").GetDouble()).ToArray();
        knots.ShouldBeInOrder();
        isotonic.GetProperty("calibration").GetProperty("calibrationRows").GetInt32().ShouldBe(200);

        await (await reader.Developer.PostAsJsonAsync("api/v1/inference/endpoints", new { name = "live", model = "mine", alias = "2" })).ShouldBeAsync(201);
        (await PredictAsync(reader, 60)).ShouldBe(Curve(60), 2);
        (await PredictAsync(reader, 100_000)).ShouldBe(knots[^1], 1e-3);

        (await (await DeriveAsync(reader, owner, "falling", "isotonic")).ShouldRefuseAsync(400, "not-rising")).GetProperty("field").GetString().ShouldBe("calibration.method");
        await (await DeriveAsync(reader, owner, "flat", "isotonic")).ShouldRefuseAsync(400, "constant-answers");
        await (await DeriveAsync(reader, owner, "curve", "quadratic")).ShouldBeAsync(400);
    }

    private static Knot[] Fit(params (double, double)[] rows) => [.. IsotonicFit.Fit(rows)];

    /// <summary>The fit by its other definition (Barlow et al.): at each point the greatest, over where to begin, of the least, over where to end, of the means.</summary>
    private static double LeastSquares((double Answer, double Truth)[] points, double at)
    {
        double[] answers = [.. points.Select(p => p.Answer).Distinct().Order()];
        return answers.Where(from => from <= at).Max(from => answers.Where(to => to >= at).Min(to => points.Where(p => p.Answer >= from && p.Answer <= to).Average(p => p.Truth)));
    }

    /// <summary>x + 1.</summary>
    private static byte[] Model(bool isDouble) => SmallModel.With(m =>
    {
        m.Graph.Node.RemoveAt(1);
        m.Graph.Node[0].Output[0] = "y";
        if (!isDouble) return;
        m.Graph.Initializer[0] = new OnnxTensor { Name = "bias", DataType = 11, Dims = { 1 }, DoubleData = { 1 } };
        m.Graph.Input[0].Type.Tensor.Element = m.Graph.Output[0].Type.Tensor.Element = 11;
    }).ToByteArray();

    private static double[] Ask(byte[] model, bool isDouble, params double[] xs)
    {
        using var session = OnnxSession.Open(model);
        using var options = new RunOptions();
        using var x = isDouble ? OrtValue.CreateTensorValueFromMemory(xs, [xs.Length, 1]) : OrtValue.CreateTensorValueFromMemory(xs.Select(v => (float)v).ToArray(), [xs.Length, 1]);
        using var outputs = session.Run(options, ["x"], [x], ["y"]);
        outputs[0].GetTensorTypeAndShape().Shape.ShouldBe([xs.Length, 1]);
        return isDouble ? outputs[0].GetTensorDataAsSpan<double>().ToArray() : [.. outputs[0].GetTensorDataAsSpan<float>().ToArray().Select(v => (double)v)];
    }

    private static async Task UploadAsync(TestTenant tenant, string name, IEnumerable<(int X, double Truth)> rows)
    {
        using var csv = new StringContent("x,truth\n" + string.Join('\n', rows.Select(r => $"{r.X},{r.Truth:R}")) + "\n", Encoding.UTF8, new MediaTypeHeaderValue("text/csv"));
        await (await tenant.Developer.PostAsync($"api/v1/features/datasets?name={name}", csv)).ShouldBeAsync(201);
    }

    private static Task<HttpResponseMessage> DeriveAsync(TestTenant by, TestTenant from, string dataset, string method) => by.Developer.PostAsJsonAsync(
        $"{TestModels.Models}/mine/derived-versions", new { from = new { tenant = from.Id, model = "base", version = 1 }, calibration = new { dataset, target = "truth", method } });

    private static async Task<double> PredictAsync(TestTenant tenant, double x) =>
        (await (await tenant.Developer.PostAsJsonAsync("api/v1/inference/endpoints/live/predict", new { inputs = new { x } })).ShouldBeAsync(200)).GetProperty("prediction").GetDouble();

    private static double Rmse(JsonElement version, string when) => version.GetProperty("customisation").GetProperty(when).GetProperty("rmse").GetDouble();
}
