using Microsoft.Extensions.Logging.Abstractions;
using Platform.Billing.Contracts;
using Platform.Inference.Predict;
using Platform.Inference.Predict.Admission;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;
using Platform.Registry.Contracts;

namespace Platform.Measurements;

/// <summary>One model in memory, with everything of the prediction path that a run needs and nothing else.</summary>
internal sealed class Bench : IDisposable
{
    private readonly RunGate gate;
    private readonly ModelCache cache;
    private readonly ServableVersion version;

    public Bench(byte[] file)
    {
        var engine = new OnnxEngine(new OnnxPlacement());
        gate = new RunGate(Environment.ProcessorCount, 0, TimeSpan.FromMinutes(1), new WaitLimits(10_000, 10_000, TimeSpan.FromMinutes(1)), TimeProvider.System);
        cache = new ModelCache([engine], new OneBlob(file), gate, long.MaxValue, () => 0, TimeProvider.System, NullLogger<ModelCache>.Instance);
        using (var loaded = engine.Load(file)) version = new ServableVersion("model", 1, "file", file.Length, loaded.Signature, [], null, null);
        Step = new RunStep(gate, new ResponseCache(0, TimeProvider.System), new PredictMetrics(), NullLogger<RunStep>.Instance);
        var use = PlanIn(ServingMode.Auto).Model.UseAsync(CancellationToken.None).AsTask().GetAwaiter().GetResult().Value;
        Trial = use.Trial;
        use.Release();
    }

    public RunStep Step { get; }

    public BatchTrial Trial { get; }

    public ServingPlan PlanIn(ServingMode mode) => new(
        new EndpointTerms("tenant", "endpoint", "1", 1, false, null, "standard@1", new LimitOptions().For("standard", null, RequestLimits.None), mode),
        version, cache.For(new ModelKey("tenant", "file"), version.ArtifactBytes), new TenantAdmission((_, _, _, _, _) => Task.FromResult<Lease?>(null), TimeProvider.System), new LiveFigures(TimeProvider.System));

    /// <summary>A request of one row that varies.</summary>
    public static PredictionWork Row(ServingPlan plan, Random random)
    {
        var work = plan.Works.Get();
        work.Wanted = plan.AllOutputs;
        foreach (var input in work.Tensors.Inputs)
        {
            long[] shape = [1, .. input.Layout.Shape[1..]];
            input.SetShape(shape);
            input.Resize((int)shape.Aggregate(1L, (product, size) => product * size));
            for (var i = 0; i < input.Count; i++) Cells.TryNumber(input, i, input.Layout.Datatype.IsFloat() ? (random.NextDouble() - 0.5) * 20 : random.Next(2));
        }
        return work;
    }

    public void Dispose()
    {
        cache.Dispose();
        gate.Dispose();
    }

    private sealed class OneBlob(byte[] content) : IBlobStore
    {
        public Task<Result<BlobRef>> PutAsync(string tenant, Stream content, long maxBytes, CancellationToken ct) => throw new NotSupportedException();

        public Task<Stream> OpenAsync(string tenant, string sha256, CancellationToken ct) => Task.FromResult<Stream>(new MemoryStream(content));

        public Task DiscardAsync(string tenant, BlobRef put, CancellationToken ct) => throw new NotSupportedException();
    }
}
