using System.Diagnostics;
using Platform.Kernel;
using Platform.Registry.Training;
using Platform.Testing;
using Xunit.Abstractions;

namespace Registry.Tests.Training;

public sealed class KingCountyTests(ITestOutputHelper output)
{
    [SharedDataFact("data/kc_house_data.csv")]
    public async Task House_prices_are_learnt_to_an_R2_of_080_on_sales_newer_than_any_in_training()
    {
        var clock = Stopwatch.StartNew();
        var trained = (await Trainer.TrainAsync(KingCounty.Open(), KingCounty.Columns, new TrainingSpec("price"), new Progress<ChildProgress>(), CancellationToken.None)).Value;
        output.WriteLine($"{clock.Elapsed.TotalSeconds:F1} s, {trained.Onnx.Length} bytes\n" + string.Join('\n', trained.Log));

        trained.Metrics.R2.ShouldBeGreaterThan(0.80);
        trained.Metrics.R2.ShouldBeGreaterThan(trained.Baseline.R2);
        trained.Metrics.Coverage.ShouldNotBeNull().ShouldBeInRange(0.85, 0.95);
        trained.Split.TimeColumn.ShouldBe("date");
        trained.Log.ShouldContain(l => l.StartsWith("Column 'id' is left out"));
    }
}
