using System.Globalization;

namespace Platform.Load;

/// <summary>What a tenant feels of another one that floods: the latency of its calls alone, under the flood, and the ratio. Journals are durable, as by default.</summary>
internal static class Neighbours
{
    private const int Flooding = 64, Quiet = 2;

    public static async Task<int> RunAsync(string host, string[] options)
    {
        var time = TimeSpan.FromSeconds(double.Parse(Benchmarks.Option(options, "--seconds") ?? "10", CultureInfo.InvariantCulture));
        var rounds = int.Parse(Benchmarks.Option(options, "--rounds") ?? "3", CultureInfo.InvariantCulture);
        await using var platform = await RunningPlatform.StartAsync(host);
        using var loud = await platform.TenantAsync("loud");
        using var quiet = await platform.TenantAsync("quiet");
        var trees = Model.Trees();
        await quiet.DeployAsync(trees, "trees");
        byte[][] rows = [.. trees.Rows(500).Select(row => Bodies.Json(trees, row))];
        // What is compiled and cached after the first calls is not the neighbour's doing.
        await CallAsync(quiet, "trees", rows, TimeSpan.FromSeconds(3));

        Console.WriteLine($"{Environment.ProcessorCount} cores, shared by server, database and callers; {Quiet} callers of one tenant, {Flooding} of the other; {time.TotalSeconds:0} s each.\n");
        Console.WriteLine("| quiet tenant | flooding tenant | p50 alone | p50 under flood | ratio | p99 alone | p99 under flood | ratio | answered alone / under flood / to the flood |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|");
        foreach (var model in (Model[])[trees, Model.HeavyMlp()])
        {
            await loud.DeployAsync(model, model.Name);
            byte[][] flood = [.. model.Rows(100).Select(row => Bodies.Json(model, row))];
            for (var round = 0; round < rounds; round++)
            {
                var alone = await CallAsync(quiet, "trees", rows, time);
                // From another process, so that the quiet tenant's callers are not slowed down by the flood's.
                var flooding = Task.Run(() => Wrk.Run(loud.Infer(model.Name), flood, Flooding, time + TimeSpan.FromSeconds(2), warmUp: false, [("Content-Type", "application/json"), ("Authorization", $"Bearer {loud.Key}")]));
                await Task.Delay(TimeSpan.FromSeconds(1));
                var under = await CallAsync(quiet, "trees", rows, time);
                var told = await flooding;
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"| trees | {model.Name} | {alone.At(.5):F2} ms | {under.At(.5):F2} ms | {under.At(.5) / alone.At(.5):F1} | {alone.At(.99):F2} ms | {under.At(.99):F2} ms | {under.At(.99) / alone.At(.99):F1} | {alone.Answered.Count:N0} / {under.Answered.Count:N0} / {told.Answered:N0} |"));
                if (alone.Refused + under.Refused > 0) throw new InvalidOperationException($"{alone.Refused + under.Refused} calls of the quiet tenant were refused.");
            }
        }

        await Background.RunAsync(quiet, loud, rows, time, rounds);
        return 0;
    }

    public static async Task<Told> CallAsync(LoadTenant tenant, string endpoint, byte[][] rows, TimeSpan time)
    {
        var callers = new Callers(tenant.Infer(endpoint), tenant.Key, rows, Quiet);
        await Task.Delay(time);
        return await callers.EndAsync();
    }
}
