using Platform.Kernel.Http;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>HTTP to servers that tenants name: to allowed addresses alone (<see cref="PublicAddresses"/>), and a credential goes to its own host alone.</summary>
internal sealed class RemoteHttp(RemoteOptions options) : IDisposable
{
    private readonly HttpClient client = new(new PublicAddresses(options.AllowedHosts).Handler()) { Timeout = Timeout.InfiniteTimeSpan };

    public Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken ct) => client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ct);

    /// <summary>The credential's header value when this tenant may send it to this host; null with the reason when not.</summary>
    public string? Credential(string name, string host, string tenant, out string? why)
    {
        why = null;
        if (options.Credentials.TryGetValue(name, out var credential)
            && credential.Host.Equals(host, StringComparison.OrdinalIgnoreCase) && (credential.Tenants is not { Count: > 0 } tenants || tenants.Contains(tenant)))
        {
            return credential.Authorization;
        }
        // One sentence for all reasons: which credentials there are is nobody's business.
        why = $"there is no credential '{name}' for the host '{host}' here";
        return null;
    }

    public void Dispose() => client.Dispose();
}
