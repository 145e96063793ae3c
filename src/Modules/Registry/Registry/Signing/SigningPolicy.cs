using System.Security.Cryptography;
using JasperFx;
using JasperFx.Events;
using Marten;
using Platform.Registry.Intake;

namespace Platform.Registry.Signing;

/// <param name="PublicKey">SubjectPublicKeyInfo, DER in base64.</param>
/// <param name="Fingerprint">SHA-256 of it in hex.</param>
internal sealed record SigningKeyAdded(string Name, string PublicKey, string Fingerprint);

/// <summary>The key verifies nothing new any more; versions it verified before keep saying so.</summary>
internal sealed record SigningKeyRetired(string Name);

/// <param name="Everywhere">Whether every model's versions must be signed.</param>
/// <param name="Models">The models whose versions must be, where not every one must.</param>
internal sealed record SignatureRequirementSet(bool Everywhere, IReadOnlyList<string> Models);

/// <summary>A tenant's public keys, and for which models a version must come with a signature by one of them.</summary>
internal sealed record SigningPolicy(string Id, IReadOnlyList<SigningKey> Keys, bool Everywhere, IReadOnlyList<string> Models) : IRevisioned
{
    /// <summary>One a tenant.</summary>
    public const string Key = "signing-policy";

    /// <summary>The stream's revision, set by the store.</summary>
    public int Version { get; set; }

    public static SigningPolicy None { get; } = new(Key, [], false, []);

    public static async Task<SigningPolicy> LoadAsync(IQuerySession session, CancellationToken ct) => await session.LoadAsync<SigningPolicy>(Key, ct) ?? None;

    public static SigningPolicy Create(IEvent<SigningKeyAdded> added) => None.Apply(added);

    public static SigningPolicy Create(SignatureRequirementSet set) => None.Apply(set);

    public SigningPolicy Apply(IEvent<SigningKeyAdded> added) => this with
    {
        Keys = [.. Keys, new SigningKey(added.Data.Name, added.Data.PublicKey, added.Data.Fingerprint, added.Timestamp, added.UserName ?? "system")],
    };

    public SigningPolicy Apply(IEvent<SigningKeyRetired> retired) => this with
    {
        Keys = [.. Keys.Select(key => key.Name == retired.Data.Name && key.RetiredAt is null ? key with { RetiredAt = retired.Timestamp } : key)],
    };

    public SigningPolicy Apply(SignatureRequirementSet set) => this with { Everywhere = set.Everywhere, Models = set.Models };

    public bool Requires(string model) => Everywhere || Models.Contains(model);

    /// <summary>What a signature over the content with this hash is worth here: whose it is, or why the version is quarantined, or neither.</summary>
    /// <param name="signature">In base64; null where there is none.</param>
    public (SignedBy? By, Finding? Fault) Judge(string model, string sha256, string? signature)
    {
        if (signature is null)
        {
            return (null, Requires(model) ? new("signature-missing", $"Versions of '{model}' must be signed, and this one is not.", "Send it again with a signature by one of the tenant's signing keys.") : null);
        }

        var bytes = new byte[signature.Length];
        if (Convert.TryFromBase64String(signature, bytes, out var length))
        {
            var hash = Convert.FromHexString(sha256);
            if (Keys.FirstOrDefault(key => key.RetiredAt is null && key.Verifies(hash, bytes.AsSpan(0, length))) is { } key) return (new(key.Name, key.Fingerprint, signature), null);
        }

        return (null, new("signature-invalid", "The signature is by none of the tenant's signing keys in use, or of another file.",
            "Sign the file itself (openssl dgst -sha256 -sign key.pem model.onnx | base64 -w0) with a key that is registered and not retired."));
    }
}

/// <summary>A public key: ECDSA on P-256, P-384 or P-521.</summary>
internal sealed record SigningKey(string Name, string PublicKey, string Fingerprint, DateTimeOffset AddedAt, string AddedBy)
{
    public DateTimeOffset? RetiredAt { get; init; }

    /// <summary>Signatures are DER, as openssl and cosign write them.</summary>
    public bool Verifies(ReadOnlySpan<byte> sha256, ReadOnlySpan<byte> signature)
    {
        using var key = ECDsa.Create();
        key.ImportSubjectPublicKeyInfo(Convert.FromBase64String(PublicKey), out _);
        return key.VerifyHash(sha256, signature, DSASignatureFormat.Rfc3279DerSequence);
    }
}
