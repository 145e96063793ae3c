using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Platform.Kernel;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>Which file of which tenant. Two tenants never share a session, even over the same bytes.</summary>
internal readonly record struct ModelKey(string Tenant, string ArtifactSha256);

/// <summary>Every model that may answer, at most one session each: loaded when deployed or first used, the least recently used unloaded
/// when memory is short, and one that cannot be loaded is nobody's trouble but its own.</summary>
internal sealed partial class ModelCache(
    IModelRuntime runtime, IBlobStore blobs, RunGate gate, long memoryBudget, Func<long> residentNow, TimeProvider time, ILogger<ModelCache> log) : IDisposable
{
    private static readonly TimeSpan FailurePause = TimeSpan.FromSeconds(5);

    private readonly ConcurrentDictionary<ModelKey, ResidentModel> models = new();

    /// <summary>One load at a time, so that the memory a load takes can be told from the others'.</summary>
    private readonly SemaphoreSlim loading = new(1);

    private long resident;

    /// <summary>Bytes the loaded models are believed to hold.</summary>
    public long ResidentBytes => Interlocked.Read(ref resident);

    public long MemoryBudget => memoryBudget;

    public string Placement => runtime.Placement;

    public ICollection<ResidentModel> All => models.Values;

    /// <summary>The model's place in memory, loaded or not. Plans keep it, so that a request needs no look-up.</summary>
    public ResidentModel For(ModelKey key, long artifactBytes) => models.GetOrAdd(key, _ => new ResidentModel(this, key, artifactBytes));

    /// <summary>Unloads and forgets what no plan names any more; runs in flight end first.</summary>
    public void Keep(IReadOnlySet<ModelKey> named)
    {
        foreach (var (key, model) in models)
        {
            if (!named.Contains(key) && models.TryRemove(key, out _)) Unload(model);
        }
    }

    public void Dispose()
    {
        foreach (var model in models.Values) Unload(model);
        loading.Dispose();
    }

    internal DateTimeOffset Now => time.GetUtcNow();

    internal void Touch(ResidentModel model) => model.LastUsed = time.GetTimestamp();

    /// <summary>Loads and warms up. Its failure is a refusal, remembered for a few seconds so that a broken model cannot keep the loader busy.</summary>
    internal async Task<Result<Session>> LoadAsync(ResidentModel model)
    {
        await loading.WaitAsync();
        try
        {
            // Refuse before reading what cannot fit anyhow.
            if (Least(model.ArtifactBytes) > memoryBudget)
                return Unloadable(model, $"its file of {model.ArtifactBytes:N0} bytes does not fit the memory set aside for models ({memoryBudget:N0} bytes)");
            var artifact = await ReadAsync(model.Key);
            var before = residentNow();
            var began = time.GetTimestamp();
            var loaded = await Task.Run(() => runtime.Load(artifact));
            var size = Math.Clamp(residentNow() - before, Least(artifact.Length), (artifact.Length * 8L) + (256 << 10));
            await WarmUpAsync(model.Key.Tenant, loaded);
            var session = new Session(loaded, size, time.GetElapsedTime(began));
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
            loading.Release();
        }
    }

    /// <summary>What a session of a file of this size holds at least: measured, 75 KB for a file of 400 bytes, and 1.5 times the file for dense layers
    /// (trees take up to 6 times). The growth of the whole process is a better guess, within bounds, because others grow at the same time.</summary>
    private static long Least(long artifactBytes) => (96 << 10) + (artifactBytes * 3 / 2);

    private Refusal Unloadable(ResidentModel model, string why)
    {
        var refusal = new Refusal(RefusalKind.Unavailable, "model-cannot-load", $"The model cannot be loaded: {why}.", null,
            "Upload a version that loads, and point the endpoint's alias at it.")
        { RetryAfter = FailurePause };
        model.FailedUntil(time.GetUtcNow() + FailurePause, refusal);
        return refusal;
    }

    private async Task<byte[]> ReadAsync(ModelKey key)
    {
        await using var stream = await blobs.OpenAsync(key.Tenant, key.ArtifactSha256, CancellationToken.None);
        using var buffer = new MemoryStream();
        await stream.CopyToAsync(buffer);
        return buffer.ToArray();
    }

    private async Task WarmUpAsync(string tenant, ILoadedModel model)
    {
        var seat = await gate.EnterAsync(tenant, CancellationToken.None)
            ?? throw new ModelLoadException("too many of the tenant's predictions are waiting for a core");
        try
        {
            await Task.Run(() => model.WarmUp(seat));
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
        foreach (var model in models.Values.Where(model => model != newest && model.IsLoaded).OrderBy(model => model.LastUsed))
        {
            if (ResidentBytes <= memoryBudget) return;
            Unload(model);
        }
    }

    private void Unload(ResidentModel model)
    {
        if (model.Leave() is not { } session) return;
        Interlocked.Add(ref resident, -session.Bytes);
        LogUnloaded(log, model.Key.Tenant, model.Key.ArtifactSha256, session.Bytes);
        session.Release();
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Model {Sha256} of tenant {Tenant} is loaded in {Milliseconds:F1} ms and holds about {Bytes} bytes.")]
    private static partial void LogLoaded(ILogger log, string tenant, string sha256, double milliseconds, long bytes);

    [LoggerMessage(Level = LogLevel.Information, Message = "Model {Sha256} of tenant {Tenant} is unloaded; it held about {Bytes} bytes.")]
    private static partial void LogUnloaded(ILogger log, string tenant, string sha256, long bytes);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Model {Sha256} of tenant {Tenant} cannot be loaded.")]
    private static partial void LogFailed(ILogger log, string tenant, string sha256, Exception failure);
}

/// <summary>A loaded model and how many use it. It is disposed when the cache has let go of it and the last run has ended.</summary>
internal sealed class Session(ILoadedModel model, long bytes, TimeSpan loadTime)
{
    private int users = 1;

    public ILoadedModel Model { get; } = model;

    public long Bytes { get; } = bytes;

    public TimeSpan LoadTime { get; } = loadTime;

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
internal sealed class ResidentModel(ModelCache cache, ModelKey key, long artifactBytes)
{
    private readonly Lock guard = new();
    private volatile Session? session;
    private Task<Result<Session>>? loading;
    private (DateTimeOffset Until, Refusal Why)? failure;
    private long lastUsed;

    public ModelKey Key { get; } = key;

    public long ArtifactBytes { get; } = artifactBytes;

    public bool IsLoaded => session is not null;

    /// <summary>The loaded model for a look at its size; take <see cref="UseAsync"/> to run it.</summary>
    public Session? Loaded => session;

    /// <summary>Why the last attempt to load failed, if it did.</summary>
    public Refusal? Failure => failure?.Why;

    public long LastUsed
    {
        get => Interlocked.Read(ref lastUsed);
        set => Interlocked.Exchange(ref lastUsed, value);
    }

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
            if (outcome.Value.TryUse()) return outcome.Value;
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
