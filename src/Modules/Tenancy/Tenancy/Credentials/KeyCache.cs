using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Marten;
using Platform.Kernel;
using Platform.Tenancy.ApiKeys;
using Platform.Tenancy.Tenants;

namespace Platform.Tenancy.Credentials;

/// <summary>Resolves API keys: from memory when known, from the key's own tenant when not. Revocations and suspensions empty it through
/// signals, on every replica.</summary>
internal sealed class KeyCache : ICredentials, IDisposable
{
    private const int MaxUnknown = 10_000;
    private const int MaxKeyLength = 200;
    private readonly ConcurrentDictionary<string, Entry> known = new();
    private readonly ConcurrentDictionary<string, byte> unknown = new();
    private readonly ConcurrentDictionary<string, byte>.AlternateLookup<ReadOnlySpan<char>> unknownById;
    private readonly ConcurrentDictionary<string, Entry>.AlternateLookup<ReadOnlySpan<char>> knownById;
    private readonly IDocumentStore store;
    private readonly TimeProvider time;
    private readonly SetupKey setupKey;
    private readonly Caller setupCaller = new(Caller.PlatformTenant, "key:setup", "the setup key", Roles.All[Roles.PlatformAdmin]) { KeyId = "setup" };
    private readonly IDisposable subscription;

    /// <summary>Counts what was forgotten: an entry loaded while it moved may be out of date, and is not kept.</summary>
    private long forgotten;

    public KeyCache(IDocumentStore store, ISignals signals, TimeProvider time, SetupKey setupKey)
    {
        (this.store, this.time, this.setupKey) = (store, time, setupKey);
        knownById = known.GetAlternateLookup<ReadOnlySpan<char>>();
        unknownById = unknown.GetAlternateLookup<ReadOnlySpan<char>>();
        subscription = signals.Subscribe("tenancy.", Hear);
    }

    /// <param name="Refused">Why the key is refused whatever it presents; null for a good one.</param>
    private sealed record Entry(string Tenant, byte[] Sha256, Caller Caller, DateTimeOffset? ExpiresAt, Refusal? Refused);

    public ValueTask<Result<Caller>> ResolveKeyAsync(ReadOnlySpan<char> presented, CancellationToken ct)
    {
        if (presented.Length > MaxKeyLength) return new(Unknown);
        Span<byte> utf8 = stackalloc byte[MaxKeyLength * 3];
        Span<byte> hash = stackalloc byte[32];
        SHA256.HashData(utf8[..Encoding.UTF8.GetBytes(presented, utf8)], hash);
        if (CryptographicOperations.FixedTimeEquals(hash, setupKey.Sha256)) return new(setupCaller);
        if (!TryParse(presented, out var tenant, out var keyId) || unknownById.ContainsKey(keyId)) return new(Unknown);
        return knownById.TryGetValue(keyId, out var entry)
            ? new(Check(entry, tenant, hash))
            : Names.IsSlug(tenant.ToString()) ? new(LoadAndCheckAsync(tenant.ToString(), keyId.ToString(), hash.ToArray(), ct)) : new(Unknown);
    }

    /// <summary>The caller a key has now, by its id: for a person who signed in to the pages with a key.</summary>
    public async ValueTask<Caller?> CallerOfKeyAsync(string tenant, string keyId, CancellationToken ct)
    {
        if (tenant == Caller.PlatformTenant && keyId == setupCaller.KeyId) return setupCaller;
        var entry = known.TryGetValue(keyId, out var cached) ? cached : await LoadAsync(tenant, keyId, ct);
        return entry is { Refused: null } && entry.Tenant == tenant && !Expired(entry) ? entry.Caller : null;
    }

    public void ForgetKey(string keyId)
    {
        Interlocked.Increment(ref forgotten);
        known.TryRemove(keyId, out _);
        unknown.TryRemove(keyId, out _);
    }

    public void ForgetTenant(string tenant)
    {
        Interlocked.Increment(ref forgotten);
        foreach (var (keyId, entry) in known)
        {
            if (entry.Tenant == tenant) known.TryRemove(keyId, out _);
        }
    }

    public void Dispose() => subscription.Dispose();

    private void Hear(Signal signal)
    {
        switch (signal.Topic)
        {
            case TenancySignals.Key: ForgetKey(signal.Id); break;
            case TenancySignals.Tenant: ForgetTenant(signal.Tenant); break;
            case "*":
                Interlocked.Increment(ref forgotten);
                known.Clear();
                unknown.Clear();
                break;
        }
    }

    private static bool TryParse(ReadOnlySpan<char> presented, out ReadOnlySpan<char> tenant, out ReadOnlySpan<char> keyId)
    {
        tenant = keyId = default;
        if (!presented.StartsWith(ApiKey.Prefix, StringComparison.Ordinal)) return false;
        presented = presented[ApiKey.Prefix.Length..];
        var first = presented.IndexOf('.');
        if (first <= 0) return false;
        var second = presented[(first + 1)..].IndexOf('.');
        if (second <= 0) return false;
        tenant = presented[..first];
        keyId = presented.Slice(first + 1, second);
        return keyId.Length is > 0 and <= 32;
    }

    private async Task<Result<Caller>> LoadAndCheckAsync(string tenant, string keyId, byte[] hash, CancellationToken ct) =>
        await LoadAsync(tenant, keyId, ct) is { } entry ? Check(entry, tenant, hash) : Unknown;

    private async Task<Entry?> LoadAsync(string tenant, string keyId, CancellationToken ct)
    {
        var before = Interlocked.Read(ref forgotten);
        await using var session = store.QuerySession(tenant);
        if (await session.LoadAsync<ApiKey>(ApiKey.Stream(keyId), ct) is not { } key)
        {
            // A flood of made-up keys costs memory up to here and one query a key, not more.
            if (unknown.Count >= MaxUnknown) unknown.Clear();
            unknown.TryAdd(keyId, 0);
            return null;
        }

        Refusal? refused = key.RevokedAt is not null ? Unauthenticated("key-revoked", "This API key has been revoked.") : null;
        if (refused is null && tenant != Caller.PlatformTenant)
        {
            await using var directory = store.QuerySession(Caller.PlatformTenant);
            if (await directory.LoadAsync<Tenant>(Tenant.Key(tenant), ct) is not { Suspended: false })
            {
                refused = Refusal.Forbidden("tenant-suspended", $"The tenant '{tenant}' is suspended.", "Ask the platform's operator why, and to resume it.");
            }
        }

        var caller = new Caller(tenant, $"key:{keyId}", key.Name, Roles.Permissions(key.Role, key.Scopes)) { KeyId = keyId };
        var entry = new Entry(tenant, key.Sha256, caller, key.ExpiresAt, refused);
        if (Interlocked.Read(ref forgotten) == before) known[keyId] = entry;
        return entry;
    }

    private Result<Caller> Check(Entry entry, ReadOnlySpan<char> tenant, ReadOnlySpan<byte> hash)
    {
        if (!CryptographicOperations.FixedTimeEquals(hash, entry.Sha256) || !tenant.SequenceEqual(entry.Tenant)) return Unknown;
        if (entry.Refused is { } refused) return refused;
        return Expired(entry) ? Unauthenticated("key-expired", $"This API key expired on {entry.ExpiresAt:yyyy-MM-dd HH:mm} UTC.") : entry.Caller;
    }

    private bool Expired(Entry entry) => entry.ExpiresAt is { } at && at <= time.GetUtcNow();

    private static readonly Refusal Unknown = Unauthenticated("key-unknown", "This API key is not known.");

    private static Refusal Unauthenticated(string code, string detail) =>
        new(RefusalKind.Unauthenticated, code, detail, "Authorization", "Send a valid key as 'Authorization: Bearer {key}'; a tenant administrator can issue one.");
}
