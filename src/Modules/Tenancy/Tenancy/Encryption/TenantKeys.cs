using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Marten;
using Platform.Kernel;

namespace Platform.Tenancy.Encryption;

/// <summary>A tenant's data key, wrapped by the installation's master key. Deleting this document erases the tenant's blobs for good.</summary>
/// <param name="Wrapped">Nonce (12 bytes), ciphertext (32) and tag (16) of AES-256-GCM with the tenant's id as associated data.</param>
internal sealed record TenantKey(string Id, byte[] Wrapped);

/// <summary>Makes and unwraps data keys; an unwrapped key stays in memory, so that reading a model costs no database trip.</summary>
internal sealed class TenantKeys(IDocumentStore store, MasterKey master) : ITenantKeys
{
    private readonly ConcurrentDictionary<string, byte[]> unwrapped = new();

    public TenantKey NewKey(string tenant)
    {
        Span<byte> key = stackalloc byte[32];
        RandomNumberGenerator.Fill(key);
        var wrapped = new byte[60];
        RandomNumberGenerator.Fill(wrapped.AsSpan(0, 12));
        using var aes = new AesGcm(master.Bytes, 16);
        aes.Encrypt(wrapped.AsSpan(0, 12), key, wrapped.AsSpan(12, 32), wrapped.AsSpan(44), Encoding.UTF8.GetBytes(tenant));
        return new(tenant, wrapped);
    }

    public async ValueTask<byte[]> DataKeyAsync(string tenant, CancellationToken ct)
    {
        if (unwrapped.TryGetValue(tenant, out var known)) return known;
        await using var session = store.QuerySession(Caller.PlatformTenant);
        var key = await session.LoadAsync<TenantKey>(tenant, ct)
            ?? throw new InvalidOperationException($"Tenant '{tenant}' has no data key: it was erased, or never was.");
        var plain = new byte[32];
        using var aes = new AesGcm(master.Bytes, 16);
        aes.Decrypt(key.Wrapped.AsSpan(0, 12), key.Wrapped.AsSpan(12, 32), key.Wrapped.AsSpan(44), plain, Encoding.UTF8.GetBytes(tenant));
        return unwrapped.GetOrAdd(tenant, plain);
    }
}
