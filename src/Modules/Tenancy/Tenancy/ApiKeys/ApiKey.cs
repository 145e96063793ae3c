using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using JasperFx.Events;

namespace Platform.Tenancy.ApiKeys;

/// <param name="Sha256">Of the whole key as shown once; the key itself is kept nowhere.</param>
/// <param name="Scopes">Narrow the role's permissions; empty means all of them.</param>
internal sealed record ApiKeyIssued(string Name, string Role, IReadOnlyList<string> Scopes, byte[] Sha256, DateTimeOffset? ExpiresAt);

internal sealed record ApiKeyRevoked;

/// <summary>An API key of a tenant: what it may do and until when. A random secret of 256 bits needs no slow hash.</summary>
internal sealed record ApiKey(
    string Id, string KeyId, string Name, string Role, IReadOnlyList<string> Scopes, byte[] Sha256, DateTimeOffset IssuedAt, string IssuedBy, DateTimeOffset? ExpiresAt, DateTimeOffset? RevokedAt)
{
    public const string Prefix = "mlp_";

    public static string Stream(string keyId) => $"key:{keyId}";

    /// <summary>Makes a key: <c>mlp_{tenant}.{id}.{secret}</c>. The tenant is in the key so that it can be looked up inside its tenant alone.</summary>
    public static (string KeyId, string Shown, byte[] Sha256) Make(string tenant)
    {
        var keyId = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6));
        var shown = $"{Prefix}{tenant}.{keyId}.{Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32))}";
        return (keyId, shown, SHA256.HashData(Encoding.UTF8.GetBytes(shown)));
    }

    public static ApiKey Create(IEvent<ApiKeyIssued> issued) =>
        new(issued.StreamKey!, issued.StreamKey!["key:".Length..], issued.Data.Name, issued.Data.Role, issued.Data.Scopes, issued.Data.Sha256, issued.Timestamp, issued.UserName ?? "system", issued.Data.ExpiresAt, null);

    public ApiKey Apply(IEvent<ApiKeyRevoked> revoked) => this with { RevokedAt = revoked.Timestamp };
}

/// <summary>A key as shown afterwards: everything but the secret.</summary>
internal sealed record ApiKeyView(string KeyId, string Name, string Role, IReadOnlyList<string> Scopes, DateTimeOffset IssuedAt, DateTimeOffset? ExpiresAt, DateTimeOffset? RevokedAt)
{
    public static ApiKeyView Of(ApiKey key) => new(key.KeyId, key.Name, key.Role, key.Scopes, key.IssuedAt, key.ExpiresAt, key.RevokedAt);
}
