using System.Collections.Concurrent;

namespace Platform.Registry.Intake;

/// <summary>Turns at the processes in which files that come in are looked at: a few at once, and one a tenant, so that a tenant whose models hang makes only
/// itself wait.</summary>
internal sealed class IntakeTurns : IDisposable
{
    private const int AtOnce = 3;

    private readonly SemaphoreSlim all = new(AtOnce);
    private readonly ConcurrentDictionary<string, SemaphoreSlim> tenants = new(StringComparer.Ordinal);

    /// <summary>The turn ends when what is given is disposed.</summary>
    public async Task<IDisposable> TakeAsync(string tenant, CancellationToken ct)
    {
        var own = tenants.GetOrAdd(tenant, static _ => new SemaphoreSlim(1));
        await own.WaitAsync(ct);
        try
        {
            await all.WaitAsync(ct);
        }
        catch
        {
            own.Release();
            throw;
        }

        return new Turn(own, all);
    }

    public void Dispose()
    {
        all.Dispose();
        foreach (var own in tenants.Values) own.Dispose();
    }

    private sealed class Turn(SemaphoreSlim own, SemaphoreSlim all) : IDisposable
    {
        public void Dispose()
        {
            all.Release();
            own.Release();
        }
    }
}
