using System.Text;
using System.Text.Json;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using Platform.Features.Contracts;
using Platform.Kernel;
using Platform.Registry.Contracts;
using Platform.Registry.Onnx;
using Platform.Registry.Training;

namespace Registry.Tests.Training;

public sealed class TrainerTests
{
    [Fact]
    public async Task The_graph_gives_ML_NETs_answers_on_a_thousand_rows_and_on_as_many_with_holes_and_unseen_values()
    {
        var trained = await SimulatedSales.TrainAsync(3_000);
        trained.Parity.Rows.ShouldBe(2_000);
        trained.Parity.MaxRelativeDifference.ShouldBeLessThan(1e-5);
        trained.Metrics.R2.ShouldBeGreaterThan(0.9);
    }

    [Fact]
    public async Task One_graph_takes_the_raw_columns_and_answers_also_where_values_are_missing_or_unheard_of()
    {
        var trained = await SimulatedSales.TrainAsync(800);
        var read = OnnxInspector.Inspect(trained.Onnx).Value;
        JsonSerializer.Serialize(read.Signature).ShouldBe(JsonSerializer.Serialize(trained.Signature));
        read.PredictionOutput.ShouldBe("prediction");

        var usual = Ask(trained, day: 18_800, region: "South", kind: "house", area: 100, rooms: 4, garden: 1);
        usual.ShouldBeInRange(200_000, 500_000);
        Ask(trained, 18_800, "South", "villa", 100, 4, 1).ShouldBeGreaterThan(usual);
        Ask(trained, float.NaN, "", "", float.NaN, float.NaN, float.NaN).ShouldBeInRange(50_000, 700_000);
        Ask(trained, 18_800, "Atlantis", "castle", 100, 4, 1).ShouldBeInRange(50_000, 700_000);
    }

    [Fact]
    public async Task Columns_are_described_for_a_form_and_an_id_is_left_out_with_its_reason()
    {
        var trained = await SimulatedSales.TrainAsync(800);
        trained.Columns.Select(c => (c.Name, c.Kind)).ShouldBe(
        [
            ("sold", ColumnKind.Date), ("region", ColumnKind.Category), ("kind", ColumnKind.Category), ("area", ColumnKind.Number),
            ("rooms", ColumnKind.Number), ("garden", ColumnKind.Boolean),
        ]);
        trained.Columns.Single(c => c.Name == "kind").Categories.ShouldBe(["flat", "house", "villa"], ignoreOrder: true);
        trained.Columns.Single(c => c.Name == "region").Categories.ShouldContain("Harbour\nfront");
        trained.Columns.Single(c => c.Name == "rooms").Minimum.ShouldBe(1);
        trained.Columns.Single(c => c.Name == "sold").Typical.ShouldStartWith("202");
        trained.Columns.ShouldAllBe(c => !c.Required);
        trained.Log.ShouldContain(l => l.StartsWith("Column 'sale_id' is left out"));

        var whole = await SimulatedSales.TrainAsync(800, missing: 0);
        whole.Columns.ShouldAllBe(c => c.Required);
    }

    [Fact]
    public async Task The_test_is_newer_than_the_calibration_and_that_newer_than_the_training()
    {
        var split = (await SimulatedSales.TrainAsync(1_000)).Split;
        split.TimeColumn.ShouldBe("sold");
        (split.Train.Rows, split.Calibration.Rows, split.Test.Rows).ShouldBe((640, 160, 200));
        string.CompareOrdinal(split.Train.To, split.Calibration.From).ShouldBeLessThanOrEqualTo(0);
        string.CompareOrdinal(split.Calibration.To, split.Test.From).ShouldBeLessThanOrEqualTo(0);
    }

    [Fact]
    public async Task The_same_seed_gives_the_same_bytes()
    {
        var first = await SimulatedSales.TrainAsync(600);
        var second = await SimulatedSales.TrainAsync(600);
        second.Onnx.ShouldBe(first.Onnx);
        second.Metrics.ShouldBe(first.Metrics);
        second.Log.ShouldBe(first.Log);
    }

    [Fact]
    public async Task Rows_without_a_target_are_counted_and_left_out()
    {
        var csv = new StringBuilder("x,y\n");
        for (int i = 0; i < 120; i++) csv.Append(i % 11).Append(',').Append(i % 6 == 0 ? "" : (i % 11 * 2).ToString()).Append('\n');
        var trained = (await Train(csv.ToString(), [Number("x"), Number("y")], new TrainingSpec("y"))).Value;
        trained.Split.WithoutTarget.ShouldBe(20);
        trained.Log[0].ShouldContain("20 without one are left out");
        trained.Split.TimeColumn.ShouldBeNull();
    }

    [Fact]
    public async Task Useless_columns_are_left_out_and_a_long_tail_of_texts_is_cut_and_the_log_says_why()
    {
        var random = new Random(3);
        var csv = new StringBuilder("same,note,street,prediction,x,y\n");
        for (int i = 0; i < 1_500; i++) csv.Append($"1,note {i},street {i % 300},{i},{random.Next(50)},{random.Next(50)}\n");
        var trained = (await Train(csv.ToString(), [Number("same"), Text("note"), Text("street"), Number("prediction"), Number("x"), Number("y")], new TrainingSpec("y"))).Value;
        trained.Columns.Select(c => c.Name).ShouldBe(["street", "x"]);
        trained.Columns[0].Categories.Count.ShouldBe(200);
        var log = string.Join('\n', trained.Log);
        log.ShouldContain("'same' is left out: it has the same value");
        log.ShouldContain("'note' is left out: nearly every row has a text of its own");
        log.ShouldContain("'prediction' is left out: its name is the name of the model's output");
        log.ShouldMatch("'street' has 2\\d\\d different texts: the 200 most frequent are used");
    }

    [Fact]
    public async Task A_unique_measure_is_not_taken_for_an_id()
    {
        var random = new Random(3);
        var csv = new StringBuilder("population,y\n");
        for (int i = 0; i < 200; i++)
        {
            var people = random.Next(1_000, 900_000);
            csv.Append($"{people},{people / 10}\n");
        }

        var trained = (await Train(csv.ToString(), [new TrainingColumn("population", DatasetColumnType.Integer), Number("y")], new TrainingSpec("y"))).Value;
        trained.Columns.Single().Name.ShouldBe("population");
    }

    [Fact]
    public async Task The_interval_holds_the_truth_of_new_rows_about_as_often_as_it_says()
    {
        var csv = SimulatedSales.Csv(6_000);
        var trained = (await Trainer.TrainAsync(csv, SimulatedSales.Columns, SimulatedSales.Spec with { CalibrationFraction = 0.3 }, new Progress<ChildProgress>(), CancellationToken.None)).Value;
        trained.Calibration.HalfWidths.Count.ShouldBe(10);
        trained.Metrics.Coverage.ShouldNotBeNull().ShouldBeInRange(0.86, 0.94);
        trained.Metrics.MeanIntervalWidth.ShouldNotBeNull().ShouldBeInRange(20_000, 120_000);
    }

    [Fact]
    public async Task A_season_is_learnt_from_a_date_and_holds_for_days_to_come()
    {
        var csv = new StringBuilder("day,y\n");
        for (int i = 0; i < 1_500; i++)
        {
            var day = new DateOnly(2019, 1, 1).AddDays(i);
            csv.Append($"{day:yyyy-MM-dd},{(100 * Math.Sin(2 * Math.PI * day.DayOfYear / 365.25)) + (day.DayOfWeek is DayOfWeek.Sunday ? 80 : 0):R}\n");
        }

        var trained = (await Train(csv.ToString(), [new TrainingColumn("day", DatasetColumnType.Date), Number("y")], new TrainingSpec("y"))).Value;
        trained.Metrics.R2.ShouldBeGreaterThan(0.95);
    }

    [Theory]
    [InlineData("nope", "unknown-column", "target")]
    [InlineData("region", "target-not-numeric", "target")]
    [InlineData("garden", "target-not-numeric", "target")]
    public async Task A_target_that_cannot_be_predicted_is_refused_with_the_columns_that_can(string target, string code, string field)
    {
        var refusal = (await Trainer.TrainAsync(SimulatedSales.Csv(100), SimulatedSales.Columns, new TrainingSpec(target), new Progress<ChildProgress>(), CancellationToken.None)).Refusal;
        refusal.ShouldNotBeNull().Code.ShouldBe(code);
        refusal.Field.ShouldBe(field);
        refusal.Mend.ShouldNotBeNull().ShouldContain("price");
    }

    [Fact]
    public async Task What_cannot_be_trained_on_is_refused_by_name()
    {
        TrainingColumn[] columns = [Number("x"), Number("y")];
        string Rows(int count, Func<int, string> row) => "x,y\n" + string.Concat(Enumerable.Range(0, count).Select(i => row(i) + "\n"));

        (await Code("x,y\n", columns)).ShouldBe("empty-dataset");
        (await Code(Rows(100, i => $"{i},"), columns)).ShouldBe("empty-dataset");
        (await Code(Rows(49, i => $"{i},{i}"), columns)).ShouldBe("too-few-rows");
        (await Code(Rows(100, i => $"{i},5"), columns)).ShouldBe("constant-target");
        (await Code(Rows(100, i => $"7,{i}"), columns)).ShouldBe("no-usable-columns");
        (await Code(Rows(100, i => $"word,{i}"), columns)).ShouldBe("unreadable-dataset");
        (await Code("a,y\n1,2\n", columns)).ShouldBe("unreadable-dataset");
        (await Train(Rows(100, i => $"{i},{i}"), columns, new TrainingSpec("y", TimeColumn: "x"))).Refusal.ShouldNotBeNull().Field.ShouldBe("timeColumn");
        (await Train(Rows(100, i => $"{i},{i}"), columns, new TrainingSpec("y", TestFraction: double.NaN))).Refusal.ShouldNotBeNull().Field.ShouldBe("testFraction");

        async Task<string?> Code(string csv, TrainingColumn[] of) => (await Train(csv, of, new TrainingSpec("y"))).Refusal?.Code;
    }

    [Fact]
    public async Task Fifty_rows_are_enough_for_a_model_with_an_interval()
    {
        var trained = (await Train("x,y\n" + string.Concat(Enumerable.Range(0, 50).Select(i => $"{i % 9},{i % 9 * 3}\n")), [Number("x"), Number("y")], new TrainingSpec("y"))).Value;
        trained.Calibration.HalfWidths.Single().ShouldBeGreaterThanOrEqualTo(0);
        trained.Calibration.CalibrationRows.ShouldBe(10);
    }

    [Fact]
    public async Task Training_stops_when_it_is_cancelled()
    {
        using var cancel = new CancellationTokenSource();
        var progress = new Inline(p =>
        {
            if (p.Doing.StartsWith("Trying")) cancel.Cancel();
        });
        await Should.ThrowAsync<OperationCanceledException>(() => Trainer.TrainAsync(SimulatedSales.Csv(400), SimulatedSales.Columns, SimulatedSales.Spec, progress, cancel.Token));
    }

    [Fact]
    public async Task Progress_never_goes_back_and_ends_at_one()
    {
        var seen = new List<ChildProgress>();
        await Trainer.TrainAsync(SimulatedSales.Csv(400), SimulatedSales.Columns, SimulatedSales.Spec, new Inline(seen.Add), CancellationToken.None);
        seen.Select(p => p.Fraction).ShouldBeInOrder();
        seen[^1].Fraction.ShouldBe(1);
        seen.ShouldAllBe(p => p.Doing.Length > 0);
    }

    private static float Ask(TrainedModel trained, float day, string region, string kind, float area, float rooms, float garden)
    {
        using var session = OnnxSession.Open(trained.Onnx);
        NamedOnnxValue Float(string name, float value) => NamedOnnxValue.CreateFromTensor(name, new DenseTensor<float>(new[] { value }, [1, 1]));
        NamedOnnxValue Word(string name, string value) => NamedOnnxValue.CreateFromTensor(name, new DenseTensor<string>(new[] { value }, [1, 1]));
        using var outputs = session.Run([Float("sold", day), Word("region", region), Word("kind", kind), Float("area", area), Float("rooms", rooms), Float("garden", garden)]);
        return outputs.Single(o => o.Name == "prediction").AsEnumerable<float>().Single();
    }

    private static TrainingColumn Number(string name) => new(name, DatasetColumnType.Number);

    private static TrainingColumn Text(string name) => new(name, DatasetColumnType.Text);

    private static Task<Result<TrainedModel>> Train(string csv, TrainingColumn[] columns, TrainingSpec spec) =>
        Trainer.TrainAsync(new MemoryStream(Encoding.UTF8.GetBytes(csv)), columns, spec, new Progress<ChildProgress>(), CancellationToken.None);

    private sealed class Inline(Action<ChildProgress> report) : IProgress<ChildProgress>
    {
        public void Report(ChildProgress value) => report(value);
    }
}
