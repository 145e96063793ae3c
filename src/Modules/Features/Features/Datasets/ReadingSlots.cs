namespace Platform.Features.Datasets;

/// <summary>Reads as many files at once as half the cores: reading keeps a core busy, and predictions need the others.</summary>
internal sealed class ReadingSlots : IDisposable
{
    private readonly SemaphoreSlim slots = new(Math.Max(1, Environment.ProcessorCount / 2));

    public async Task<T> RunAsync<T>(Func<T> read, CancellationToken ct)
    {
        await slots.WaitAsync(ct);
        try
        {
            return await Task.Run(read, ct);
        }
        finally
        {
            slots.Release();
        }
    }

    public void Dispose() => slots.Dispose();
}
