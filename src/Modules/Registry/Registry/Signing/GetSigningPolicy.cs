using System.Security.Cryptography;
using Marten;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;

namespace Platform.Registry.Signing;

/// <param name="Everywhere">Whether every model's versions must be signed.</param>
/// <param name="Models">Those whose must be, where not every one's.</param>
internal sealed record SigningPolicyView(bool Everywhere, IReadOnlyList<string> Models, IReadOnlyList<SigningKeyView> Keys)
{
    public static SigningPolicyView Of(SigningPolicy policy) => new(policy.Everywhere, policy.Models,
        [.. policy.Keys.Select(key => new SigningKeyView(key.Name, PemEncoding.WriteString("PUBLIC KEY", Convert.FromBase64String(key.PublicKey)), key.Fingerprint, key.AddedAt, key.AddedBy, key.RetiredAt))]);
}

internal sealed record SigningKeyView(string Name, string PublicKey, string Fingerprint, DateTimeOffset AddedAt, string AddedBy, DateTimeOffset? RetiredAt);

/// <summary>The tenant's signing keys, those retired too, and which models' versions must be signed.</summary>
internal static class GetSigningPolicy
{
    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("signing-policy", GetAsync).WithName(nameof(GetSigningPolicy)).Needs(Permissions.Read).WithSummary("Get the signing keys and which models must be signed");

    private static async Task<Ok<SigningPolicyView>> GetAsync(IQuerySession session, CancellationToken ct) => TypedResults.Ok(SigningPolicyView.Of(await SigningPolicy.LoadAsync(session, ct)));
}
