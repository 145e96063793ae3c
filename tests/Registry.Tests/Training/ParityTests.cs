using System.Globalization;
using System.Text;
using CsCheck;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using Platform.Features.Contracts;
using Platform.Kernel;
using Platform.Registry.Contracts;
using Platform.Registry.Onnx;
using Platform.Registry.Training;

namespace Registry.Tests.Training;

public sealed class ParityTests
{
    [Fact]
    public async Task Any_table_of_numbers_texts_dates_and_holes_trains_into_a_graph_that_agrees()
    {
        var type = Gen.Int[0, 4].Select(i => (DatasetColumnType)i);
        var unit = Gen.Int[0, 3].Select(i => new[] { 1.0, 1e-6, 1e9, -1e3 }[i]);
        await Gen.Select(type.Array[1, 5], Gen.Int[60, 160], Gen.Double[0, 0.4], unit, Gen.Int[0, 1_000_000])
            .SampleAsync(async (types, rows, missing, scale, seed) =>
            {
                TrainingColumn[] columns = [.. types.Select((t, i) => new TrainingColumn($"c{i}", t)), new("y", DatasetColumnType.Number)];
                var result = await Trainer.TrainAsync(RandomTable(columns, rows, missing, scale, seed), columns, new TrainingSpec("y", Seed: seed), new Progress<ChildProgress>(), CancellationToken.None);
                (result.Refusal?.Code is null or "no-usable-columns").ShouldBeTrue(result.Refusal?.ToString());
            }, iter: 12, threads: 1);
    }

    [Fact]
    public void A_graph_that_answers_differently_is_refused()
    {
        ParityGate.Judge([100f, 200f], [100f, 200.1f], targetScale: 50).Refusal.ShouldNotBeNull().Code.ShouldBe("export-differs");
        ParityGate.Judge([100f, 200f], [100f, float.NaN], targetScale: 50).Refusal.ShouldNotBeNull();
        ParityGate.Judge([100f, 200f], [100f, 200.001f], targetScale: 50).Value.MaxAbsoluteDifference.ShouldBe(0.001, 1e-4);
    }

    [Fact]
    public async Task The_sample_holds_the_rows_as_they_are_and_again_with_holes_and_unseen_texts()
    {
        TrainingColumn[] columns = [new("x", DatasetColumnType.Number), new("t", DatasetColumnType.Text), new("y", DatasetColumnType.Number)];
        var table = (await TrainingTable.ReadAsync(RandomTable(columns, 300, 0, 1, 5), columns, "y", CancellationToken.None)).Value;
        var sample = ParityGate.Sample(table, 1);
        sample.Rows.ShouldBe(600);
        var (x, t) = ((NumberColumn)sample["x"], (TextColumn)sample["t"]);
        Enumerable.Range(0, 300).ShouldAllBe(r => !double.IsNaN(x[r]) && t[r].Length > 0);
        Enumerable.Range(300, 300).Count(r => double.IsNaN(x[r])).ShouldBeGreaterThan(20);
        Enumerable.Range(300, 300).Count(r => t[r].Length == 0).ShouldBeGreaterThan(20);
        Enumerable.Range(300, 300).Count(r => t[r].StartsWith("never seen")).ShouldBeGreaterThan(20);
    }

    [Fact]
    public void Calendar_parts_are_the_calendars()
    {
        Gen.Int[-700_000, 2_900_000].Sample(days =>
        {
            var date = DateOnly.FromDateTime(DateTime.UnixEpoch).AddDays(days);
            var (sine, cosine, weekday) = DateParts.Of(days);
            weekday.ShouldBe(((int)date.DayOfWeek + 6) % 7);
            // A Gregorian cycle of 400 years drifts from its mean year by less than two days.
            var angle = 2 * Math.PI * (date.DayOfYear - 1) / 365.2425;
            var apart = Math.Acos(Math.Clamp((sine * Math.Sin(angle)) + (cosine * Math.Cos(angle)), -1, 1)) * 365.2425 / (2 * Math.PI);
            apart.ShouldBeLessThan(2.5);
        }, iter: 2_000);
    }

    [Fact]
    public void The_graph_takes_a_date_apart_to_the_same_bits()
    {
        var plan = new FeaturePlan([new NumberFeature("day", DatasetColumnType.Date, HasMissing: false)], [],
            [new ColumnSpec("day", ColumnKind.Date, true, [], null, null, null)]);
        float[] days = [0, -1, 1, 16_000, 20_454, -719_162, 2_932_896, -1e9f, 1e9f, float.NaN, float.PositiveInfinity, .. Enumerable.Range(0, 800).Select(i => (i * 37) - 12_000f)];
        for (int part = 0; part < DateParts.PerDate; part++)
        {
            var onnx = GraphExport.Write(plan, [10_000.5f], new OneFeature(1 + part), new TargetScale(Log: false, Mean: 0, Deviation: 1), "y");
            using var session = OnnxSession.Open(onnx);
            using var outputs = session.Run([NamedOnnxValue.CreateFromTensor("day", new DenseTensor<float>(days, [days.Length, 1]))]);
            var expected = days.Select(d => DateParts.Of(float.IsNaN(d) ? 10_000.5f : d)).Select(p => part switch { 0 => p.Sine, 1 => p.Cosine, _ => p.Weekday });
            outputs.Single().AsEnumerable<float>().ShouldBe(expected);
        }
    }

    private static MemoryStream RandomTable(TrainingColumn[] columns, int rows, double missing, double scale, int seed)
    {
        var random = new Random(seed);
        var csv = new StringBuilder(string.Join(',', columns.Select(c => c.Name))).Append('\n');
        for (int row = 0; row < rows; row++)
        {
            double sum = 0;
            foreach (var column in columns[..^1])
            {
                var lot = random.Next(9);
                sum += lot;
                var text = column.Type switch
                {
                    DatasetColumnType.Integer => (lot * 1000).ToString(),
                    DatasetColumnType.Number => (lot + random.NextDouble()).ToString("R", CultureInfo.InvariantCulture),
                    DatasetColumnType.Boolean => lot > 4 ? "true" : "false",
                    DatasetColumnType.Date => new DateOnly(1960, 1, 1).AddDays((lot * 2_000) + row).ToString("yyyy-MM-dd"),
                    _ => "text " + lot,
                };
                csv.Append(random.NextDouble() < missing ? "" : text).Append(',');
            }

            csv.Append(((sum + random.NextDouble()) * scale).ToString("R", CultureInfo.InvariantCulture)).Append('\n');
        }

        return new MemoryStream(Encoding.UTF8.GetBytes(csv.ToString()));
    }

    /// <summary>A model whose score is one feature, so that a test can see what the graph makes of a column.</summary>
    private sealed record OneFeature(int At) : FittedCandidate(Transformer: null!)
    {
        public override string Write(GraphWriter graph, string features) =>
            graph.Add("Gather", [features, graph.Constant("at", [(long)At], 1)], [GraphWriter.Int("axis", 1)]);
    }
}
