using System.Diagnostics;
using Inference.Tests;
using Platform.Inference.Predict;
using Platform.Inference.Predict.Runtimes;

namespace Platform.Measurements;

/// <summary>Runs a second by callers that ask one row again as soon as they are answered, with batching off (latency) and on (auto).</summary>
internal static class Batching
{
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(1), Span = TimeSpan.FromSeconds(3);

    public static async Task RunAsync(string[] files)
    {
        List<(string Name, byte[] File)> models = [("perceptron 784-2816-2816-10, 10.2 M", OnnxFiles.Perceptron(784, 2816, 2816, 10)), ("perceptron 8-64-64-1", OnnxFiles.Perceptron(8, 64, 64, 1))];
        foreach (var file in files) models.Add((Path.GetFileNameWithoutExtension(file), await File.ReadAllBytesAsync(file)));
        Console.WriteLine("| model | batch gain, rows | callers | off, runs/s (p50, p99 µs) | auto, runs/s (p50, p99 µs) | auto / off |");
        Console.WriteLine("|---|---|---|---|---|---|");
        foreach (var (name, file) in models)
        {
            using var bench = new Bench(file);
            var trial = bench.Trial;
            foreach (var callers in (int[])[1, 8, 64])
            {
                // Off, on, off, on: what else runs on the machine meets both.
                var off = await CallAsync(bench, ServingMode.Latency, callers);
                var auto = await CallAsync(bench, ServingMode.Auto, callers);
                var (off2, auto2) = (await CallAsync(bench, ServingMode.Latency, callers), await CallAsync(bench, ServingMode.Auto, callers));
                if (off2.PerSecond > off.PerSecond) off = off2;
                if (auto2.PerSecond > auto.PerSecond) auto = auto2;
                Console.WriteLine($"| {name} | {trial.Gain:F2}, {trial.RowsIn(ServingMode.Auto)} | {callers} | {off} | {auto} | {auto.PerSecond / off.PerSecond:F2} |");
            }
        }
    }

    private static async Task<Figures> CallAsync(Bench bench, ServingMode mode, int callers)
    {
        var plan = bench.PlanIn(mode);
        var began = Stopwatch.GetTimestamp();
        var counted = await Task.WhenAll(Enumerable.Range(0, callers).Select(caller => Task.Run(async () =>
        {
            var random = new Random(caller);
            PredictionWork[] works = [.. Enumerable.Range(0, 50).Select(_ => Bench.Row(plan, random))];
            List<double> took = [];
            for (var i = 0; Stopwatch.GetElapsedTime(began) < WarmUp + Span; i++)
            {
                var start = Stopwatch.GetTimestamp();
                if (await bench.Step.RunAsync(works[i % works.Length], CancellationToken.None) is { } refusal) throw new InvalidOperationException(refusal.Detail);
                if (Stopwatch.GetElapsedTime(began) > WarmUp) took.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
                // A caller over HTTP would come back through the pool, too.
                await Task.Yield();
            }
            Array.ForEach(works, plan.Works.Return);
            return took;
        })));
        double[] all = [.. counted.SelectMany(took => took).Order()];
        return new Figures(all.Length / Span.TotalSeconds, all[all.Length / 2], all[all.Length * 99 / 100]);
    }

    private sealed record Figures(double PerSecond, double P50, double P99)
    {
        public override string ToString() => $"{PerSecond:N0} ({P50:N0}, {P99:N0})";
    }
}
