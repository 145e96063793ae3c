using System.Collections.Concurrent;
using System.Collections.Frozen;
using Microsoft.Extensions.Logging;
using Platform.Kernel;
using Platform.Registry.Contracts;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>Which file of which tenant. Two tenants never share a session, even over the same bytes.</summary>
internal readonly record struct ModelKey(string Tenant, string ArtifactSha256);

/// <summary>Every model that may answer, at most one session each: loaded when deployed or first used, the least recently used unloaded
/// when memory is short, and one that cannot be loaded is nobody's trouble but its own.</summary>
internal sealed partial class ModelCache(
    IEnumerable<IModelRuntime> runtimes, IBlobStore blobs, RunGate gate, long memoryBudget, Func<long> residentNow, TimeProvider time, ILogger<ModelCache> log) : IDisposable
{
    private const long Large = 16 << 20;

    private static readonly TimeSpan FailurePause = TimeSpan.FromSeconds(5);

    private readonly FrozenDictionary<ArtifactKind, IModelRuntime> runtimes = runtimes.ToFrozenDictionary(runtime => runtime.Kind);
    private readonly ConcurrentDictionary<ModelKey, ResidentModel> models = new();

    /// <summary>One load at a time, so that the memory a load takes can be told from the others'; but a small file does not wait behind a large one.</summary>
    private readonly SemaphoreSlim loadingSmall = new(1), loadingLarge = new(1);

    private readonly Lock holding = new();
    private long resident;

    /// <summary>Bytes the loaded models are believed to hold.</summary>
    public long ResidentBytes => Interlocked.Read(ref resident);

    /// <summary>Told of every model that was unloaded.</summary>
    public Action<ResidentModel>? Unloaded { get; set; }

    public long MemoryBudget => memoryBudget;

    public ICollection<ResidentModel> All => models.Values;

    /// <summary>The model's place in memory, loaded or not. Plans keep it, so that a request needs no look-up.</summary>
    public ResidentModel For(ModelKey key, long artifactBytes, ArtifactKind kind = ArtifactKind.Onnx) => models.GetOrAdd(key, _ => new ResidentModel(this, key, artifactBytes, kind, new Batcher(gate, key.Tenant, time)));

    /// <summary>Unloads and forgets what no plan names any more, and no composite is made of; runs in flight end first.</summary>
    public void Keep(IReadOnlySet<ModelKey> named)
    {
        // Again after each, because a composite that goes lets go of its members.
        while (models.Values.FirstOrDefault(model => !named.Contains(model.Key) && TryForget(model)) is { } forgotten) Unload(forgotten);
        NativeMemory.Settle();
    }

    /// <summary>The place of a composite's member, which is neither forgotten nor made room of until <see cref="LetGo"/>.</summary>
    internal ResidentModel Hold(ModelKey key, long artifactBytes, ArtifactKind kind)
    {
        lock (holding)
        {
            var model = For(key, artifactBytes, kind);
            model.Holders++;
            return model;
        }
    }

    internal void LetGo(ResidentModel member)
    {
        lock (holding) member.Holders--;
    }

    private bool TryForget(ResidentModel model)
    {
        lock (holding) return model.Holders == 0 && models.TryRemove(model.Key, out _);
    }

    public void Dispose()
    {
        foreach (var model in models.Values) Unload(model);
        loadingSmall.Dispose();
        loadingLarge.Dispose();
    }

    internal DateTimeOffset Now => time.GetUtcNow();

    /// <summary>A request that took its plan before the last change may load a model that no plan names any more, and that nobody else would unload:
    /// its last run does.</summary>
    internal void LetGoIfForgotten(ResidentModel model)
    {
        if (!models.TryGetValue(model.Key, out var known) || known != model) Unload(model);
    }

    internal void Touch(ResidentModel model) => model.LastUsed = time.GetTimestamp();

    /// <summary>Loads and warms up. Its failure is a refusal, remembered for a few seconds so that a broken model cannot keep the loader busy.</summary>
    internal async Task<Result<Session>> LoadAsync(ResidentModel model)
    {
        // A composite takes next to nothing itself and waits for its members' loads, so it must not stand in their way.
        var loading = model.Kind is ArtifactKind.Composite ? null : model.ArtifactBytes < Large ? loadingSmall : loadingLarge;
        if (loading is not null) await loading.WaitAsync();
        try
        {
            // Refuse before reading what cannot fit anyhow.
            if (Least(model.ArtifactBytes) > memoryBudget)
                return Unloadable(model, $"its file of {model.ArtifactBytes:N0} bytes does not fit the memory set aside for models ({memoryBudget:N0} bytes)");
            var artifact = await ReadAsync(model);
            var before = residentNow();
            var began = time.GetTimestamp();
            var loaded = await runtimes[model.Kind].LoadAsync(artifact);
            var size = Math.Clamp(residentNow() - before, Least(artifact.Length), (artifact.Length * 8L) + (256 << 10));
            var trial = await WarmUpAsync(model.Key.Tenant, loaded);
            var session = new Session(loaded, size, time.GetElapsedTime(began), trial, runtimes[model.Kind].Placement);
            Interlocked.Add(ref resident, size);
            LogLoaded(log, model.Key.Tenant, model.Key.ArtifactSha256, session.LoadTime.TotalMilliseconds, size);
            model.Became(session);
            MakeRoom(model);
            return session;
        }
        catch (ModelLoadException failure)
        {
            return Unloadable(model, failure.Message);
        }
        catch (ModelRunException)
        {
            return Unloadable(model, "it did not end its first run in time");
        }
        catch (Exception failure)
        {
            // Whatever is wrong with one model's file or store must not reach the others.
            LogFailed(log, model.Key.Tenant, model.Key.ArtifactSha256, failure);
            return Unloadable(model, "its file cannot be read from the store");
        }
        finally
        {
            loading?.Release();
        }
    }

    /// <summary>What a session of a file of this size holds at least: measured, 75 KB for a file of 400 bytes, and 1.5 times the file for dense layers
    /// (trees take up to 6 times). The growth of the whole process is a better guess, within bounds, because others grow at the same time.</summary>
    internal static long Least(long artifactBytes) => (96 << 10) + (artifactBytes * 3 / 2);

    private Refusal Unloadable(ResidentModel model, string why)
    {
        var refusal = new Refusal(RefusalKind.Unavailable, "model-cannot-load", $"The model cannot be loaded: {why}.", null,
            "Upload a version that loads, and point the endpoint's alias at it.")
        { RetryAfter = FailurePause };
        model.FailedUntil(time.GetUtcNow() + FailurePause, refusal);
        return refusal;
    }

    /// <summary>Into memory of exactly its size; reading on to the end makes the store check the hash.</summary>
    private async Task<byte[]> ReadAsync(ResidentModel model)
    {
        await using var stream = await blobs.OpenAsync(model.Key.Tenant, model.Key.ArtifactSha256, CancellationToken.None);
        var artifact = new byte[model.ArtifactBytes];
        await stream.ReadExactlyAsync(artifact);
        return await stream.ReadAsync(new byte[1]) == 0 ? artifact : throw new InvalidDataException("The artifact is longer than the registry says.");
    }

    private async Task<BatchTrial> WarmUpAsync(string tenant, ILoadedModel model)
    {
        if (model is IRemoteModel) return BatchTrial.Apart;
        var entered = await gate.EnterAsync(tenant, CancellationToken.None);
        if (entered.Refusal is not null)
        {
            model.Dispose();
            throw new ModelLoadException("too many of the tenant's predictions are waiting for a core");
        }
        var seat = entered.Value;
        seat.Yields = false;
        try
        {
            return await Task.Run(() =>
            {
                model.WarmUp(seat);
                return BatchTrial.Of(model, seat);
            });
        }
        catch
        {
            model.Dispose();
            throw;
        }
        finally
        {
            gate.Exit(seat);
        }
    }

    private void MakeRoom(ResidentModel newest)
    {
        // A member goes after the composites that are made of it, which are looked for anew each time.
        while (ResidentBytes > memoryBudget && models.Values.Where(model => model != newest && model.IsLoaded && model.Holders == 0).MinBy(model => model.LastUsed) is { } unused) Unload(unused);
    }

    /// <summary>Lets go of its memory; runs in flight end first, and the next request loads it again. Loaded composites that are made of it go with it.</summary>
    public void Unload(ResidentModel model)
    {
        if (model.Holders > 0)
        {
            foreach (var composite in models.Values.Where(other => other.Loaded?.Model is CompositeModel made && made.IsMadeOf(model))) Unload(composite);
        }
        if (model.Leave() is not { } session) return;
        Interlocked.Add(ref resident, -session.Bytes);
        LogUnloaded(log, model.Key.Tenant, model.Key.ArtifactSha256, session.Bytes);
        session.Release();
        model.Batcher.Drop();
        Unloaded?.Invoke(model);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Model {Sha256} of tenant {Tenant} is loaded in {Milliseconds:F1} ms and holds about {Bytes} bytes.")]
    private static partial void LogLoaded(ILogger log, string tenant, string sha256, double milliseconds, long bytes);

    [LoggerMessage(Level = LogLevel.Information, Message = "Model {Sha256} of tenant {Tenant} is unloaded; it held about {Bytes} bytes.")]
    private static partial void LogUnloaded(ILogger log, string tenant, string sha256, long bytes);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Model {Sha256} of tenant {Tenant} cannot be loaded.")]
    private static partial void LogFailed(ILogger log, string tenant, string sha256, Exception failure);
}

/// <summary>A loaded model and how many use it. It is disposed when the cache has let go of it and the last run has ended.</summary>
internal sealed class Session(ILoadedModel model, long bytes, TimeSpan loadTime, BatchTrial trial, string placement)
{
    private int users = 1;
    private long ticksPerRow;

    public ILoadedModel Model { get; } = model;

    public long Bytes { get; } = bytes;

    public TimeSpan LoadTime { get; } = loadTime;

    /// <summary>Whether its rows may be run together, and whether that pays.</summary>
    public BatchTrial Trial { get; } = trial;

    /// <summary>Where it runs, and why there.</summary>
    public string Placement { get; } = placement;

    /// <summary>Whether a run of so many rows is expected to take long, after what the last ones took.</summary>
    public bool TakesLong(int rows) => RunThreads.IsLong(TimeSpan.FromTicks(Volatile.Read(ref ticksPerRow) * rows));

    public void Took(TimeSpan run, int rows)
    {
        var (known, now) = (Volatile.Read(ref ticksPerRow), run.Ticks / Math.Max(rows, 1));
        // Two at once may overwrite one another, which does no harm to an estimate.
        Volatile.Write(ref ticksPerRow, known == 0 ? now : ((known * 7) + now) / 8);
    }

    /// <summary>False once it is on its way out.</summary>
    public bool TryUse()
    {
        var seen = Volatile.Read(ref users);
        while (seen > 0)
        {
            var was = Interlocked.CompareExchange(ref users, seen + 1, seen);
            if (was == seen) return true;
            seen = was;
        }
        return false;
    }

    public void Release()
    {
        if (Interlocked.Decrement(ref users) > 0) return;
        Model.Dispose();
        NativeMemory.Freed(Bytes);
    }
}

/// <summary>A model's place in the cache: loaded, loading, or to be loaded by the next request.</summary>
internal sealed class ResidentModel(ModelCache cache, ModelKey key, long artifactBytes, ArtifactKind kind, Batcher batcher)
{
    private readonly Lock guard = new();
    private volatile Session? session;
    private Task<Result<Session>>? loading;
    private (DateTimeOffset Until, Refusal Why)? failure;
    private long lastUsed;
    private int waiting;

    public ModelKey Key { get; } = key;

    public long ArtifactBytes { get; } = artifactBytes;

    public ArtifactKind Kind { get; } = kind;

    /// <summary>Joins its requests that wait for a core.</summary>
    public Batcher Batcher { get; } = batcher;

    public bool IsLoaded => session is not null;

    /// <summary>Loaded composites that are made of it, and those that are being loaded. Changes under the cache's lock.</summary>
    public int Holders { get; set; }

    /// <summary>The loaded model for a look at its size; take <see cref="UseAsync"/> to run it.</summary>
    public Session? Loaded => session;

    /// <summary>Why the last attempt to load failed, if it did.</summary>
    public Refusal? Failure => failure?.Why;

    public long LastUsed
    {
        get => Interlocked.Read(ref lastUsed);
        set => Interlocked.Exchange(ref lastUsed, value);
    }

    /// <summary>Takes a place among those who wait for a core, to be given back with <see cref="Waited"/>; false when <paramref name="limit"/> are waiting.</summary>
    public bool TryWait(int limit)
    {
        if (Interlocked.Increment(ref waiting) <= limit) return true;
        Waited();
        return false;
    }

    /// <summary>Requests that wait for a core now.</summary>
    public int Waiting => Volatile.Read(ref waiting);

    public void Waited() => Interlocked.Decrement(ref waiting);

    /// <summary>The session, held until <see cref="Session.Release"/>; loads it first when need be. A caller that gives up does not stop the load.</summary>
    public ValueTask<Result<Session>> UseAsync(CancellationToken ct)
    {
        cache.Touch(this);
        return session is { } loaded && loaded.TryUse() ? new(loaded) : LoadThenUseAsync(ct);
    }

    internal void Became(Session loaded) => session = loaded;

    internal void FailedUntil(DateTimeOffset until, Refusal why) => failure = (until, why);

    internal Session? Leave() => Interlocked.Exchange(ref session, null);

    private async ValueTask<Result<Session>> LoadThenUseAsync(CancellationToken ct)
    {
        while (true)
        {
            if (session is { } loaded && loaded.TryUse()) return loaded;
            var outcome = await StartLoad().WaitAsync(ct);
            if (outcome.Refusal is { } refusal) return refusal;
            // It may have been unloaded again by now, when memory is very short; then it is loaded again.
            if (!outcome.Value.TryUse()) continue;
            cache.LetGoIfForgotten(this);
            return outcome.Value;
        }
    }

    private Task<Result<Session>> StartLoad()
    {
        lock (guard)
        {
            if (loading is { IsCompleted: false }) return loading;
            if (session is { } loaded) return Task.FromResult<Result<Session>>(loaded);
            if (failure is { } failed && cache.Now < failed.Until) return Task.FromResult<Result<Session>>(failed.Why);
            failure = null;
            return loading = Task.Run(() => cache.LoadAsync(this));
        }
    }
}
