namespace Platform.Host.Blobs;

/// <summary>When the host starts, takes away the drafts of a host that died while it wrote them. One that another host is writing is locked, and left.</summary>
internal sealed class AbandonedDrafts(string folder) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
    {
        if (!Directory.Exists(folder)) return Task.CompletedTask;
        foreach (var draft in Directory.EnumerateDirectories(folder).Select(tenant => Path.Combine(tenant, LocalBlobStore.Drafts)).Where(Directory.Exists).SelectMany(Directory.EnumerateFiles))
        {
            try
            {
                using (new FileStream(draft, FileMode.Open, FileAccess.Write, FileShare.None))
                {
                }

                File.Delete(draft);
            }
            catch (IOException)
            {
                // Its writer lives, or has just finished it.
            }
        }

        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
