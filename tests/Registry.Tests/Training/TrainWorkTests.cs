using System.Text.Json;
using Platform.Kernel;
using Platform.Registry.Training;

namespace Registry.Tests.Training;

public sealed class TrainWorkTests
{
    [Fact]
    public async Task A_child_process_gets_the_rows_and_gives_the_same_model_back()
    {
        var (_, output) = await RunAsync(SimulatedSales.Spec);
        var trained = await TrainWork.ReadResultAsync(output.ToArray(), CancellationToken.None);
        JsonSerializer.Serialize(trained).ShouldBe(JsonSerializer.Serialize(await SimulatedSales.TrainAsync(500)));
    }

    [Fact]
    public async Task A_refusal_inside_the_child_reaches_the_parent_as_that_refusal()
    {
        var refused = await Should.ThrowAsync<ChildWorkRefusedException>(() => RunAsync(new TrainingSpec("region")));
        refused.Refusal.Code.ShouldBe("target-not-numeric");
    }

    private static async Task<(MemoryStream Input, MemoryStream Output)> RunAsync(TrainingSpec spec)
    {
        var input = new MemoryStream();
        await TrainWork.WriteTaskAsync(input, new TrainWork.Header(spec, SimulatedSales.Columns), SimulatedSales.Csv(500), CancellationToken.None);
        input.Position = 0;
        var output = new MemoryStream();
        await new TrainWork().RunAsync(input, output, new Progress<ChildProgress>(), CancellationToken.None);
        return (input, output);
    }
}
