using System.Security.Cryptography;
using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Signing;

/// <summary>Registers a public key whose signatures on models count. A new key beside the old one, and the old one retired when all sign with the new: that is a rotation.</summary>
internal static class AddSigningKey
{
    private const int MostKeys = 20;

    /// <param name="PublicKey">PEM, as <c>openssl ec -pubout</c> writes it.</param>
    [Needs(Permissions.Manage)]
    internal sealed record Command(string Name, string PublicKey) : IRequest<Result<SigningPolicyView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Name).IsName();
            RuleFor(c => c.PublicKey).NotEmpty().MaximumLength(4000);
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("signing-keys", Post).WithName(nameof(AddSigningKey)).Needs(Permissions.Manage).WithSummary("Register a signing key")
            .WithDescription("An ECDSA public key (P-256, P-384 or P-521) in PEM. Signatures are over the file's SHA-256, DER in base64, in the header `X-Content-Signature` of an upload.")
            .ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Created<SigningPolicyView>, ProblemHttpResult>> Post(Command command, IMediator mediator, CancellationToken ct) =>
        mediator.Send(command, ct).ToCreated(_ => "/api/v1/registry/signing-policy");

    internal static Result<SigningKeyAdded> Decide(SigningPolicy policy, Command command)
    {
        if (policy.Keys.Any(key => key.Name == command.Name)) return Refusal.Conflict("signing-key-exists", $"There is or was a signing key '{command.Name}'.", "name", "Choose another name; versions say by name which key verified them.");
        if (policy.Keys.Count(key => key.RetiredAt is null) >= MostKeys) return Refusal.Conflict("too-many-signing-keys", $"A tenant has at most {MostKeys} signing keys in use.", null, "Retire one first.");
        try
        {
            using var key = ECDsa.Create();
            key.ImportFromPem(command.PublicKey);
            if (command.PublicKey.Contains("PRIVATE", StringComparison.Ordinal)) return NoKey("It is a private key, which belongs to nobody but its owner; consider it known now.");
            if (key.KeySize is not (256 or 384 or 521)) return NoKey($"Its curve has {key.KeySize} bits.");
            var bytes = key.ExportSubjectPublicKeyInfo();
            return new SigningKeyAdded(command.Name, Convert.ToBase64String(bytes), Convert.ToHexStringLower(SHA256.HashData(bytes)));
        }
        catch (Exception unreadable) when (unreadable is ArgumentException or CryptographicException)
        {
            return NoKey("It cannot be read.");
        }
    }

    private static Refusal NoKey(string why) => Refusal.Invalid("bad-signing-key", $"This is not an ECDSA public key in PEM. {why}", "publicKey",
        "Make one with: openssl ecparam -name prime256v1 -genkey -noout -out key.pem && openssl ec -in key.pem -pubout.");

    internal sealed class Handler(IDocumentSession session) : IRequestHandler<Command, Result<SigningPolicyView>>
    {
        public async Task<Result<SigningPolicyView>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForWriting<SigningPolicy>(SigningPolicy.Key, ct);
            var decided = Decide(stream.Aggregate ?? SigningPolicy.None, command);
            if (decided.Refusal is { } refusal) return refusal;
            stream.AppendOne(decided.Value);
            await session.SaveChangesAsync(ct);
            return SigningPolicyView.Of(await SigningPolicy.LoadAsync(session, ct));
        }
    }
}
