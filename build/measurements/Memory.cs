using System.Diagnostics;
using Inference.Tests;
using Microsoft.Extensions.Logging.Abstractions;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Measurements;

/// <summary>A thousand models of a hundred tenants in a memory that holds a few of them: how long the use of any takes, how much the process holds
/// meanwhile, and whether what is unloaded is given back.</summary>
internal static class Memory
{
    private const int Tenants = 100, PerTenant = 10;

    public static async Task RunAsync(string? file)
    {
        var model = file is null ? OnnxFiles.Perceptron(128, 512, 512, 10) : await File.ReadAllBytesAsync(file);
        var gate = new RunGate(Environment.ProcessorCount, 0, TimeSpan.FromMinutes(1), new WaitLimits(10_000, 10_000, TimeSpan.FromMinutes(1)), TimeProvider.System);
        const long budget = 512L << 20;
        using var cache = new ModelCache([new OnnxEngine(new OnnxPlacement())], new Variants(model), gate, budget, NativeMemory.Resident, TimeProvider.System, NullLogger<ModelCache>.Instance);
        Console.WriteLine($"{Tenants * PerTenant} models of {Tenants} tenants, {model.Length:N0} bytes each, budget {budget >> 20} MiB");

        // Once through, so that the runtimes' own memory is there before anything is compared.
        await UseAsync(Named(), [.. Enumerable.Range(0, Tenants * PerTenant)], runs: 3);
        var began = Emptied(cache);
        for (var round = 1; round <= 3; round++)
        {
            var (models, random) = (Named(), new Random(round));
            var order = Enumerable.Range(0, models.Length).ToArray();
            random.Shuffle(order);
            var clock = Stopwatch.StartNew();
            var (took, most) = await UseAsync(models, order, runs: 3);
            var (loaded, held) = (models.Count(one => one.IsLoaded), cache.ResidentBytes);
            var ended = Emptied(cache);
            Array.Sort(took);
            Console.WriteLine($"round {round}: {order.Length} uses in {clock.Elapsed.TotalSeconds:F1} s, median {took[took.Length / 2]:F1} ms, 99th {took[took.Length * 99 / 100]:F1} ms, longest {took[^1]:F1} ms; "
                + $"{loaded} loaded with about {held >> 20} MiB, process at most {most >> 20} MiB; emptied {ended >> 20} MiB, began {began >> 20} MiB ({100.0 * (ended - began) / began:+0.0;-0.0} %)");
        }

        ResidentModel[] Named() => [.. Enumerable.Range(0, Tenants * PerTenant).Select(i => cache.For(new ModelKey($"t{i % Tenants}", $"{i}"), model.Length))];
    }

    private static async Task<(double[] Milliseconds, long Most)> UseAsync(ResidentModel[] models, int[] order, int runs)
    {
        List<double> took = [];
        var most = 0L;
        foreach (var i in order)
        {
            var start = Stopwatch.GetTimestamp();
            var use = await models[i].UseAsync(CancellationToken.None);
            if (use.Refusal is { } refusal) throw new InvalidOperationException(refusal.Detail);
            for (var run = 0; run < runs; run++)
            {
                using var set = new TensorSet([.. use.Value.Model.Signature.Inputs.Select(TensorLayout.Of)], [.. use.Value.Model.Signature.Outputs.Select(TensorLayout.Of)]);
                foreach (var input in set.Inputs)
                {
                    input.SetShape([1, .. input.Layout.Shape.AsSpan(1)]);
                    input.Resize((int)input.Layout.Shape.Skip(1).Aggregate(1L, (product, size) => product * size));
                    input.Raw.Clear();
                }
                using var seats = new RunGate(1, 0, TimeSpan.FromMinutes(1), new WaitLimits(1, 1, TimeSpan.FromMinutes(1)), TimeProvider.System);
                use.Value.Model.Run(set, [0], seats.TryEnter("t", CancellationToken.None)!);
            }
            use.Value.Release();
            took.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            most = Math.Max(most, NativeMemory.Resident());
        }
        return ([.. took], most);
    }

    /// <summary>What the process holds after every model was unloaded.</summary>
    private static long Emptied(ModelCache cache)
    {
        cache.Keep(new HashSet<ModelKey>());
        GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        GC.WaitForPendingFinalizers();
        GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        Thread.Sleep(500);
        return NativeMemory.Resident();
    }

    /// <summary>One content under every name, each time a copy of its own as a store would give.</summary>
    private sealed class Variants(byte[] content) : IBlobStore
    {
        public Task<Result<BlobRef>> PutAsync(string tenant, Stream content, long maxBytes, CancellationToken ct) => throw new NotSupportedException();

        public Task<Stream> OpenAsync(string tenant, string sha256, CancellationToken ct) => Task.FromResult<Stream>(new MemoryStream(content, writable: false));

        public Task DiscardAsync(string tenant, BlobRef put, CancellationToken ct) => throw new NotSupportedException();
    }
}
