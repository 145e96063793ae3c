using System.Collections.Concurrent;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging.Abstractions;
using Platform.Inference.Predict;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;
using Platform.Registry.Contracts;

namespace Inference.Tests.Runtimes;

public sealed class ModelCacheTests : IDisposable
{
    private readonly MemoryBlobs blobs = new();
    private readonly RunGate gate = new(2, 0, TimeSpan.FromMinutes(1), Plans.Waits, TimeProvider.System);

    [Fact]
    public async Task Many_first_users_load_a_model_once()
    {
        var engine = new CountingEngine();
        using var cache = Cache(engine);
        var model = Put(cache, "t", size: 1000);
        var uses = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => model.UseAsync(default).AsTask()));
        uses.ShouldAllBe(use => use.IsOk);
        engine.Loads.ShouldBe(1);
    }

    [Fact]
    public async Task The_least_recently_used_model_makes_room_and_comes_back_when_asked_for()
    {
        var engine = new CountingEngine();
        using var cache = Cache(engine, budget: 3 * 100_000);
        ResidentModel[] models = [.. Enumerable.Range(0, 4).Select(i => Put(cache, "t", size: 100 + i))];
        foreach (var model in models) (await model.UseAsync(default)).Value.Release();
        models.Count(model => model.IsLoaded).ShouldBe(3);
        models[0].IsLoaded.ShouldBeFalse();
        models[3].IsLoaded.ShouldBeTrue();
        (await models[0].UseAsync(default)).Value.Release();
        models[0].IsLoaded.ShouldBeTrue();
        cache.ResidentBytes.ShouldBeLessThanOrEqualTo(300_000);
    }

    [Fact]
    public async Task A_model_in_use_is_disposed_only_after_its_last_run()
    {
        var engine = new CountingEngine();
        using var cache = Cache(engine);
        var model = Put(cache, "t", size: 1000);
        var use = (await model.UseAsync(default)).Value;
        cache.Keep(new HashSet<ModelKey>());
        model.IsLoaded.ShouldBeFalse();
        engine.Disposed.ShouldBe(0);
        use.Release();
        engine.Disposed.ShouldBe(1);
        cache.ResidentBytes.ShouldBe(0);
    }

    [Fact]
    public async Task A_forgotten_model_that_a_late_request_loads_again_is_disposed_after_it()
    {
        var engine = new CountingEngine();
        using var cache = Cache(engine);
        var model = Put(cache, "t", size: 1000);
        cache.Keep(new HashSet<ModelKey>());
        var use = (await model.UseAsync(default)).Value;
        engine.Disposed.ShouldBe(0);
        use.Release();
        engine.Disposed.ShouldBe(1);
        cache.ResidentBytes.ShouldBe(0);
    }

    [Fact]
    public async Task A_model_that_cannot_be_loaded_refuses_and_leaves_the_others_alone()
    {
        var engine = new CountingEngine();
        using var cache = Cache(engine);
        var broken = cache.For(new ModelKey("t", "not-there"), 1000);
        var good = Put(cache, "t", size: 1000);
        var refused = await broken.UseAsync(default);
        refused.Refusal!.Code.ShouldBe("model-cannot-load");
        (await good.UseAsync(default)).IsOk.ShouldBeTrue();
        (await broken.UseAsync(default)).Refusal!.RetryAfter.ShouldNotBeNull();
    }

    [Fact]
    public async Task A_model_larger_than_the_memory_for_models_is_refused_before_it_is_read()
    {
        using var cache = Cache(new CountingEngine(), budget: 1000);
        (await Put(cache, "t", size: 900).UseAsync(default)).Refusal!.Detail.ShouldContain("does not fit");
    }

    [Fact]
    public async Task Two_tenants_with_the_same_bytes_have_a_session_each()
    {
        var engine = new CountingEngine();
        using var cache = Cache(engine);
        var (mine, theirs) = (Put(cache, "mine", 1000), Put(cache, "theirs", 1000));
        (await mine.UseAsync(default)).Value.ShouldNotBe((await theirs.UseAsync(default)).Value);
        engine.Loads.ShouldBe(2);
    }

    [Fact]
    public async Task Under_eviction_from_all_sides_every_use_holds_a_living_model()
    {
        var engine = new CountingEngine();
        using var cache = Cache(engine, budget: 250_000);
        ResidentModel[] models = [.. Enumerable.Range(0, 6).Select(i => Put(cache, "t", size: 100 + i))];
        await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
        {
            var random = new Random(worker);
            for (var i = 0; i < 300; i++)
            {
                var use = (await models[random.Next(models.Length)].UseAsync(default)).Value;
                ((CountingEngine.Fake)use.Model).IsDisposed.ShouldBeFalse();
                use.Release();
            }
        })));
        (engine.Loads - engine.Disposed).ShouldBe(models.Count(model => model.IsLoaded));
    }

    [Fact]
    public async Task A_composites_members_stay_while_it_is_loaded_and_make_room_after_it()
    {
        var engine = new CountingEngine();
        ModelCache? cache = null;
        using var made = cache = new ModelCache([engine, new CompositeEngine(() => cache!, gate, new InferenceOptions(), TimeProvider.System)], blobs, gate, 500_000, () => 0, TimeProvider.System, NullLogger<ModelCache>.Instance);
        var none = new ModelSignature([], []);
        CompositeMember[] parts = [.. new[] { 100, 101 }.Select(size => new CompositeMember("part", size, blobs.Put("t", new byte[size]), size, ArtifactKind.Onnx, 0.5, new Dictionary<string, string>()))];
        var artifact = new CompositeDescriptor("t", CompositeKind.WeightedMean, none, parts).ToBytes();
        var composite = cache.For(new ModelKey("t", blobs.Put("t", artifact)), artifact.Length, ArtifactKind.Composite);
        ResidentModel[] members = [.. parts.Select(part => cache.For(new ModelKey("t", part.ArtifactSha256), part.ArtifactBytes))];
        (await composite.UseAsync(default)).Value.Release();
        members.ShouldAllBe(member => member.IsLoaded && member.Holders == 1);

        // Nobody names the members, and they are older than the composite, which is older than all that come after.
        cache.Keep(new HashSet<ModelKey> { composite.Key });
        members.ShouldAllBe(member => member.IsLoaded);
        ResidentModel[] others = [.. Enumerable.Range(0, 2).Select(i => Put(cache, "t", size: 200 + i))];
        foreach (var other in others)
        {
            (await other.UseAsync(default)).Value.Release();
            (await composite.UseAsync(default)).Value.Release();
        }
        members.ShouldAllBe(member => member.IsLoaded);
        composite.IsLoaded.ShouldBeTrue();
        (await others[0].UseAsync(default)).Value.Release();
        (await others[1].UseAsync(default)).Value.Release();
        ResidentModel[] more = [.. Enumerable.Range(0, 3).Select(i => Put(cache, "t", size: 300 + i))];
        foreach (var other in more) (await other.UseAsync(default)).Value.Release();
        composite.IsLoaded.ShouldBeFalse();
        members.ShouldAllBe(member => !member.IsLoaded && member.Holders == 0);
        cache.ResidentBytes.ShouldBeLessThanOrEqualTo(500_000);
        cache.Keep(new HashSet<ModelKey>());
        (engine.Loads - engine.Disposed).ShouldBe(0);
    }

    public void Dispose() => gate.Dispose();

    private ModelCache Cache(IModelRuntime engine, long budget = 100_000_000) => new([engine], blobs, gate, budget, () => 0, TimeProvider.System, NullLogger<ModelCache>.Instance);

    private ResidentModel Put(ModelCache cache, string tenant, int size) => cache.For(new ModelKey(tenant, blobs.Put(tenant, new byte[size])), size);

    private sealed class CountingEngine : IModelRuntime
    {
        private int loads, disposed;

        public int Loads => loads;

        public int Disposed => disposed;

        public ArtifactKind Kind => ArtifactKind.Onnx;

        public string Placement => "nowhere";

        public Task<ILoadedModel> LoadAsync(byte[] artifact)
        {
            Interlocked.Increment(ref loads);
            return Task.FromResult<ILoadedModel>(new Fake(this));
        }

        internal sealed class Fake(CountingEngine engine) : ILoadedModel
        {
            public ModelSignature Signature { get; } = new([], []);

            public bool IsDisposed { get; private set; }

            public void Run(TensorSet set, ReadOnlySpan<int> wanted, RunSeat seat)
            {
            }

            public void WarmUp(RunSeat seat)
            {
            }

            public void Dispose()
            {
                IsDisposed = true;
                Interlocked.Increment(ref engine.disposed);
            }
        }
    }
}

/// <summary>A blob store that forgets everything when the test ends.</summary>
internal sealed class MemoryBlobs : IBlobStore
{
    private readonly ConcurrentDictionary<(string, string), byte[]> blobs = new();

    public string Put(string tenant, byte[] content)
    {
        var sha256 = Convert.ToHexStringLower(SHA256.HashData(content));
        blobs[(tenant, sha256)] = content;
        return sha256;
    }

    public async Task<Result<BlobRef>> PutAsync(string tenant, Stream content, long maxBytes, CancellationToken ct)
    {
        using var buffer = new MemoryStream();
        await content.CopyToAsync(buffer, ct);
        return new BlobRef(Put(tenant, buffer.ToArray()), buffer.Length);
    }

    public Task<Stream> OpenAsync(string tenant, string sha256, CancellationToken ct) =>
        Task.FromResult<Stream>(new MemoryStream(blobs.TryGetValue((tenant, sha256), out var content) ? content : throw new FileNotFoundException()));

    public Task DiscardAsync(string tenant, BlobRef put, CancellationToken ct)
    {
        blobs.TryRemove((tenant, put.Sha256), out _);
        return Task.CompletedTask;
    }
}
