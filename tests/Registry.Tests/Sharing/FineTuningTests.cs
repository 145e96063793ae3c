using System.Globalization;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Google.Protobuf;
using Marten;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using Platform.Features.Contracts;
using Platform.Kernel;
using Platform.Registry.Onnx;
using Platform.Registry.Sharing;
using Platform.Registry.Training;
using Platform.Testing;
using Registry.Tests.Models;
using Registry.Tests.Onnx;

namespace Registry.Tests.Sharing;

public sealed class FineTuningTests
{
    [Fact]
    public async Task A_model_of_one_region_is_tuned_on_the_rows_of_another_and_its_lineage_stays_whole()
    {
        var (owner, reader) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await UploadAsync(owner, "north", Sales(1_200, isSouth: false));
        var job = await (await owner.Developer.PostAsJsonAsync("api/v1/registry/training-jobs", new { dataset = "north", target = "price", model = "base" })).ShouldBeAsync(202);
        await Eventually.BecomesAsync("the training to end", async () => await (await owner.Viewer.GetAsync($"api/v1/registry/training-jobs/{job.GetProperty("id")}")).ShouldBeAsync(200), j => j.GetProperty("status").GetString() is "succeeded");
        await ShareAsync(owner);
        await reader.RegisterAsync("mine");
        await UploadAsync(reader, "south", Sales(800, isSouth: true));

        var derived = await (await TuneAsync(reader, owner, "south", "price")).ShouldBeAsync(201);
        var tuned = derived.GetProperty("customisation");
        tuned.GetProperty("method").GetString().ShouldBe("fine-tuning");
        Rmse(tuned, "after").ShouldBeLessThan(Rmse(tuned, "before") / 2);
        tuned.GetProperty("after").GetProperty("coverage").GetDouble().ShouldBeInRange(0.75, 1);
        (tuned.GetProperty("dataset").GetString(), tuned.GetProperty("target").GetString(), tuned.GetProperty("datasetSha256").GetString()!.Length).ShouldBe(("south", "price", 64));
        var split = tuned.GetProperty("tuning").GetProperty("split");
        split.GetProperty("timeColumn").GetString().ShouldBe("sold");
        (tuned.GetProperty("fittedRows").GetInt32(), tuned.GetProperty("after").GetProperty("testRows").GetInt32()).ShouldBe((512, 160));
        string.CompareOrdinal(split.GetProperty("train").GetProperty("to").GetString(), split.GetProperty("test").GetProperty("from").GetString()).ShouldBeLessThanOrEqualTo(0);
        tuned.GetProperty("tuning").GetProperty("parity").GetProperty("maxRelativeDifference").GetDouble().ShouldBeLessThan(1e-5);
        derived.GetProperty("calibration").GetProperty("calibrationRows").GetInt32().ShouldBe(128);
        var basis = await (await owner.Viewer.GetAsync($"{TestModels.Models}/base/versions/1")).ShouldBeAsync(200);
        derived.GetProperty("signature").ToString().ShouldBe(basis.GetProperty("signature").ToString());
        (await reader.Viewer.GetStringAsync($"{TestModels.Models}/mine/versions/1/log")).ShouldContain("rows held out: RMSE");

        var lineage = await (await reader.Viewer.GetAsync("api/v1/registry/lineage?of=version:mine/1")).ShouldBeAsync(200);
        lineage.GetProperty("edges").EnumerateArray().Select(e => e.GetProperty("to").GetString()).ShouldBe([$"shared-version:{owner.Id}/base/1", "dataset:south@1"], ignoreOrder: true);

        // What is served is the file, and the file is the base and something that the base's owner has not.
        var file = await reader.Viewer.GetByteArrayAsync($"{TestModels.Models}/mine/versions/1/artifact");
        var own = await owner.Viewer.GetByteArrayAsync($"{TestModels.Models}/base/versions/1/artifact");
        var (answer, before) = (Price(file, 100, "villa", 20_000), Price(own, 100, "villa", 20_000));
        answer.ShouldBe(80_000 + (3_000 * 100) + 150_000, 30_000);
        before.ShouldBe(50_000 + (2_000 * 100) + 60_000, 30_000);
        await (await reader.Developer.PostAsJsonAsync("api/v1/inference/endpoints", new { name = "live", model = "mine", alias = "1" })).ShouldBeAsync(201);
        var served = await (await reader.Developer.PostAsJsonAsync("api/v1/inference/endpoints/live/predict", new { inputs = new { area = 100, kind = "villa", sold = "2024-10-04" } })).ShouldBeAsync(200);
        served.GetProperty("prediction").GetDouble().ShouldBe(answer, 1);
        served.ToString().ShouldContain("interval");
    }

    [Theory]
    [InlineData(7, 0, 1, 1)]
    [InlineData(17, 3, 1, 11)]
    [InlineData(17, 0, 11, 11)]
    [InlineData(17, 1, 11, 1)]
    [InlineData(26, 5, 7, 1)]
    public void The_joined_graph_is_the_base_plus_the_correction_whatever_the_bases_operator_sets_and_datatypes(int opset, int mlOpset, int input, int output)
    {
        var model = Base(opset, mlOpset, input, output);
        var (joined, header, table) = Tune(model);
        var read = OnnxInspector.Inspect(joined).Value;
        JsonSerializer.Serialize(read.Signature).ShouldBe(JsonSerializer.Serialize(header.Signature));
        // A later operator set of the base's stays where the correction's operators are in it.
        read.Facts.Opsets["ai.onnx"].ShouldBe(Math.Max(opset, 11));
        read.Facts.Opsets["ai.onnx.ml"].ShouldBe(Math.Clamp(mlOpset, 3, 4));

        var rows = RowScorer.AsInputs(table, header);
        var expected = Expected(model, header, table, rows);
        var answers = Score(joined, header, rows);
        for (var row = 0; row < table.Rows; row++) answers[row].ShouldBe(expected[row], 1e-3f);
        answers.Zip(CustomiseWork.Truth(header, table)).Average(x => Math.Abs(x.First - x.Second)).ShouldBeLessThan(4);
        // One row alone is answered as among others.
        Score(joined, header, rows.Take([17])).Single().ShouldBe(answers[17]);
    }

    [Fact]
    public void What_was_tuned_is_tuned_again_although_all_its_names_are_taken()
    {
        var (once, header, table) = Tune(Base(17, 3, 1, 1));
        var target = (NumberColumn)table["truth"];
        for (var row = 0; row < table.Rows; row++) target[row] += ((NumberColumn)table["x"])[row] > 100 ? 70 : 0;
        var again = header with { ModelBytes = once.Length };
        var (fitted, twice) = FineTuning.Fit(again, once, table, new Progress<ChildProgress>(), CancellationToken.None);
        OnnxInspector.Inspect(twice).IsOk.ShouldBeTrue();
        fitted.After.Rmse.ShouldBeLessThan(fitted.Before.Rmse / 5);
        Score(twice, again, RowScorer.AsInputs(table, again)).ShouldBe(Expected(once, again, table, RowScorer.AsInputs(table, again)), 1e-3);
    }

    [Fact]
    public void A_base_whose_operators_are_not_in_the_corrections_operator_set_is_told()
    {
        // Clip takes its bounds as attributes before operator set 11, and only so.
        var model = SmallModel.With(m =>
        {
            m.OpsetImport[0].Version = 9;
            m.Graph.Node[1] = new OnnxNode { OpType = "Clip", Input = { "sum" }, Output = { "y" }, Attribute = { GraphWriter.Real("min", 0) } };
        }).ToByteArray();
        OnnxInspector.Inspect(model).IsOk.ShouldBeTrue();
        var refusal = Should.Throw<ChildWorkRefusedException>(() => Tune(model)).Refusal;
        (refusal.Code, refusal.Field).ShouldBe(("graphs-do-not-join", "fineTuning"));
        refusal.Detail.ShouldContain("ai.onnx 11, ai.onnx.ml 3");
    }

    [Fact]
    public async Task What_cannot_be_tuned_is_told_with_the_field_and_nothing_is_registered()
    {
        var (owner, reader) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await owner.RegisterWithVersionAsync("base");
        await ShareAsync(owner);
        await reader.RegisterAsync("mine");
        var random = new Random(3);
        string Rows(int count, Func<int, double> truth) => "x,truth,word\n" + string.Concat(Enumerable.Range(0, count).Select(i => string.Create(CultureInfo.InvariantCulture, $"{i % 50},{truth(i):R},w\n")));
        await UploadAsync(reader, "rows", Rows(200, i => i));
        await UploadAsync(reader, "few", Rows(49, i => i));
        await UploadAsync(reader, "exact", Rows(200, i => (i % 50) + 1));
        await UploadAsync(reader, "noise", Rows(200, i => (i % 50) + 0.5 + random.NextDouble()));
        await UploadAsync(reader, "other", "z,truth\n1,2\n3,4\n");

        await Refused("rows", "nothing", 400, "unknown-column", "fineTuning.target");
        await Refused("rows", "word", 400, "unknown-column", "fineTuning.target");
        await Refused("rows", "x", 400, "target-is-input", "fineTuning.target");
        await Refused("other", "truth", 400, "unknown-column", "fineTuning.dataset");
        await Refused("few", "truth", 400, "too-few-rows", "fineTuning.dataset");
        await Refused("exact", "truth", 400, "nothing-to-learn", "fineTuning.dataset");
        await Refused("nowhere", "truth", 404, "no-such-dataset", "fineTuning.dataset");
        await Refused("rows", "", 400, "invalid-field", "fineTuning.target");
        var worse = await Refused("noise", "truth", 409, "correction-no-better", "fineTuning.dataset");
        worse.GetProperty("detail").GetString()!.ShouldMatch(@"On the 40 rows held out the base model's RMSE is 0\.\d+, and with the correction it would be \d\.\d+, which is \d+\.\d % worse");
        var fineTuning = new { dataset = "rows", target = "truth" };
        var both = await (await DeriveAsync(reader, owner, new { dataset = "rows", target = "truth" }, fineTuning)).ShouldRefuseAsync(400, "invalid-field");
        both.GetProperty("field").GetString().ShouldBe("fineTuning");
        both.ToString().ShouldContain("and not both");

        // A classifier answers with a class.
        var classifier = SmallModel.With(m =>
        {
            m.Graph.Node[1] = new OnnxNode { OpType = "Cast", Input = { "sum" }, Output = { "y" }, Attribute = { GraphWriter.Int("to", GraphWriter.Int64) } };
            m.Graph.Output[0] = SmallModel.Value("y", GraphWriter.Int64, -1, 1);
        });
        await (await owner.Developer.UploadAsync("base", classifier.ToByteArray())).ShouldBeAsync(201);
        await ShareAsync(owner, version: 2);
        var ofClasses = await (await DeriveAsync(reader, owner, null, fineTuning, version: 2)).ShouldRefuseAsync(400, "base-not-calibratable");
        ofClasses.GetProperty("field").GetString().ShouldBe("fineTuning");
        ofClasses.GetProperty("detail").GetString()!.ShouldContain("'y' is INT64");

        (await (await reader.Viewer.GetAsync($"{TestModels.Models}/mine")).ShouldBeAsync(200)).GetProperty("versions").GetArrayLength().ShouldBe(0);

        async Task<JsonElement> Refused(string dataset, string target, int status, string code, string field)
        {
            var problem = await (await TuneAsync(reader, owner, dataset, target)).ShouldRefuseAsync(status, code);
            problem.GetProperty("field").GetString().ShouldBe(field);
            return problem;
        }
    }

    [Fact]
    public async Task A_version_from_before_there_was_fine_tuning_is_read_as_it_was_written()
    {
        var serializer = (await PlatformApp.SharedAsync()).Services.GetRequiredService<IDocumentStore>().Options.Serializer();
        var metrics = new TrainingMetrics(10, 0.5, 1, 1, null);
        var written = serializer.ToJson(new Customisation(CustomisationMethod.Affine, "rows", new('a', 64), "truth", 20, 3, 10, metrics, metrics));
        var old = System.Text.Json.Nodes.JsonNode.Parse(written)!.AsObject();
        old.Remove("knots").ShouldBeTrue();
        old.Remove("tuning").ShouldBeTrue();
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes(old.ToJsonString()));
        var read = serializer.FromJson<Customisation>(stream);
        (read.Method, read.Slope, read.Knots, read.Tuning).ShouldBe((CustomisationMethod.Affine, 3.0, null, null));
    }

    /// <summary>x + 1 in any datatype, with names that a correction's graph uses too, and with an operator of ai.onnx.ml where it imports that.</summary>
    private static byte[] Base(int opset, int mlOpset, int input, int output)
    {
        var model = new OnnxModel { IrVersion = 8, OpsetImport = { new OnnxOpset { Domain = "", Version = opset } }, Graph = new OnnxGraph { Name = "g" } };
        model.Graph.Input.Add(SmallModel.Value("x", input, -1, 1));
        model.Graph.Input.Add(SmallModel.Value("place", GraphWriter.Text, -1, 1));
        model.Graph.Output.Add(SmallModel.Value("prediction", output, -1, 1));
        model.Graph.Initializer.Add(new OnnxTensor { Name = "columns", DataType = GraphWriter.Float, Dims = { 1 } });
        model.Graph.Node.Add(new OnnxNode { OpType = "Cast", Name = "Imputer", Input = { "x" }, Output = { "Imputer.out" }, Attribute = { GraphWriter.Int("to", GraphWriter.Float) } });
        model.Graph.Node.Add(new OnnxNode { OpType = "Add", Input = { "Imputer.out", "columns" }, Output = { "prediction/base" } });
        var sum = "prediction/base";
        if (mlOpset > 0)
        {
            model.OpsetImport.Add(new OnnxOpset { Domain = GraphWriter.Ml, Version = mlOpset });
            model.Graph.Node.Add(new OnnxNode { OpType = "Scaler", Domain = GraphWriter.Ml, Input = { sum }, Output = { "Cast.out" }, Attribute = { GraphWriter.Reals("offset", [0f]), GraphWriter.Reals("scale", [1f]) } });
            sum = "Cast.out";
        }

        model.Graph.Node.Add(new OnnxNode { OpType = "Cast", Input = { sum }, Output = { "prediction" }, Attribute = { GraphWriter.Int("to", output) } });
        // As exporters write weights: in bytes, which the format's parser of ours does not know of.
        var file = DataModel.Parser.ParseFrom(model.ToByteArray());
        file.Graph.Initializer[0].RawData = ByteString.CopyFrom(BitConverter.GetBytes(1f));
        return file.ToByteArray();
    }

    /// <summary>Tunes to what is 40 more from x = 60 on and 20 less in the woods.</summary>
    private static (byte[] Joined, CustomiseWork.Header Header, TrainingTable Table) Tune(byte[] model)
    {
        var random = new Random(5);
        var csv = new StringBuilder("x,place,truth\n");
        for (var i = 0; i < 400; i++)
        {
            var (x, wood) = (random.Next(-40, 200), random.Next(2) == 1);
            csv.Append(CultureInfo.InvariantCulture, $"{x},{(wood ? "woods" : "")},{x + 1 + (x >= 60 ? 40 : 0) - (wood ? 20 : 0) + random.NextDouble():R}\n");
        }

        TrainingColumn[] columns = [new("x", DatasetColumnType.Integer), new("place", DatasetColumnType.Text), new("truth", DatasetColumnType.Number)];
        var table = TrainingTable.ReadAsync(new MemoryStream(Encoding.UTF8.GetBytes(csv.ToString())), columns, "truth", CancellationToken.None).Result.Value;
        var read = OnnxInspector.Inspect(model).Value;
        var header = new CustomiseWork.Header(CustomisationMethod.FineTuning, "fineTuning", model.Length, read.Signature, read.Columns, read.PredictionOutput!, columns, "truth");
        var (fitted, joined) = FineTuning.Fit(header, model, table, new Progress<ChildProgress>(), CancellationToken.None);
        fitted.After.Rmse.ShouldBeLessThan(fitted.Before.Rmse / 4);
        return (joined, header, table);
    }

    /// <summary>The base's own answers plus those of a correction that is trained once more: the same rows give the same model.</summary>
    private static float[] Expected(byte[] model, CustomiseWork.Header header, TrainingTable table, TrainingTable rows)
    {
        var (truth, answers) = (CustomiseWork.Truth(header, table), Score(model, header, rows));
        NumberColumn Column(string name, IEnumerable<double> values) => NumberColumn.Of(name, DatasetColumnType.Number, values);
        var all = new TrainingTable([.. rows.Columns, Column("the base's answer", answers.Select(a => (double)a)), Column("what the base misses", truth.Zip(answers, (t, a) => t - a))], rows.Rows, 0);
        var trained = Trainer.Train(all, null, new("what the base misses"), new Progress<ChildProgress>(), CancellationToken.None).Value;
        return [.. answers.Zip(trained.Predict(all), (a, c) => a + c)];
    }

    private static float[] Score(byte[] model, CustomiseWork.Header header, TrainingTable rows)
    {
        using var scorer = new RowScorer(model, header);
        return scorer.Score(rows, CancellationToken.None);
    }

    /// <summary>In the south everything is dearer, and villas most of all.</summary>
    private static string Sales(int rows, bool isSouth)
    {
        string[] kinds = ["flat", "house", "villa"];
        var random = new Random(isSouth ? 2 : 1);
        var csv = new StringBuilder("sold,area,kind,price\n");
        for (var i = 0; i < rows; i++)
        {
            var (area, kind) = (30 + (170 * random.NextDouble()), random.Next(3));
            var price = isSouth ? 80_000 + (3_000 * area) + (75_000 * kind) : 50_000 + (2_000 * area) + (30_000 * kind);
            csv.Append(CultureInfo.InvariantCulture, $"{new DateOnly(2023, 1, 1).AddDays(i * 700 / rows):yyyy-MM-dd},{area:R},{kinds[kind]},{Math.Round(price + (20_000 * (random.NextDouble() - 0.5)))}\n");
        }

        return csv.ToString();
    }

    private static float Price(byte[] model, float area, string kind, float day)
    {
        using var session = OnnxSession.Open(model);
        NamedOnnxValue Number(string name, float value) => NamedOnnxValue.CreateFromTensor(name, new DenseTensor<float>(new[] { value }, [1, 1]));
        using var outputs = session.Run([Number("sold", day), Number("area", area), NamedOnnxValue.CreateFromTensor("kind", new DenseTensor<string>(new[] { kind }, [1, 1]))]);
        return outputs.Single(o => o.Name == "prediction").AsEnumerable<float>().Single();
    }

    private static async Task UploadAsync(TestTenant tenant, string name, string rows)
    {
        using var csv = new StringContent(rows, Encoding.UTF8, new MediaTypeHeaderValue("text/csv"));
        await (await tenant.Developer.PostAsync($"api/v1/features/datasets?name={name}", csv)).ShouldBeAsync(201);
    }

    private static async Task ShareAsync(TestTenant owner, int version = 1) =>
        await (await owner.Admin.PutAsJsonAsync($"{TestModels.Models}/base/versions/{version}/sharing", new { everyone = true })).ShouldBeAsync(200);

    private static Task<HttpResponseMessage> TuneAsync(TestTenant by, TestTenant from, string dataset, string target) => DeriveAsync(by, from, null, new { dataset, target });

    private static Task<HttpResponseMessage> DeriveAsync(TestTenant by, TestTenant from, object? calibration, object? fineTuning, int version = 1) =>
        by.Developer.PostAsJsonAsync($"{TestModels.Models}/mine/derived-versions", new { from = new { tenant = from.Id, model = "base", version }, calibration, fineTuning });

    private static double Rmse(JsonElement customisation, string when) => customisation.GetProperty(when).GetProperty("rmse").GetDouble();
}
