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

/// <summary>Says which models' versions must be signed from now on: all, some or none. A version that is not is quarantined; versions there are already stay as they are.</summary>
internal static class SetSignatureRequirement
{
    /// <param name="Everywhere">Every model's.</param>
    /// <param name="Models">Those of these models, which need not be registered yet.</param>
    [Needs(Permissions.Manage)]
    internal sealed record Command(bool Everywhere = false, IReadOnlyList<string>? Models = null) : IRequest<Result<SigningPolicyView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Models).Must(models => models is null or { Count: <= 1000 }).WithMessage("'models' names at most 1,000 models.");
            RuleForEach(c => c.Models).NotEmpty().MaximumLength(256);
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPut("signing-policy", Put).WithName(nameof(SetSignatureRequirement)).Needs(Permissions.Manage).WithSummary("Say which models' versions must be signed");

    private static Task<Results<Ok<SigningPolicyView>, ProblemHttpResult>> Put(Command command, IMediator mediator, CancellationToken ct) => mediator.Send(command, ct).ToOk();

    internal sealed class Handler(IDocumentSession session) : IRequestHandler<Command, Result<SigningPolicyView>>
    {
        public async Task<Result<SigningPolicyView>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForWriting<SigningPolicy>(SigningPolicy.Key, ct);
            stream.AppendOne(new SignatureRequirementSet(command.Everywhere, [.. (command.Models ?? []).Distinct()]));
            await session.SaveChangesAsync(ct);
            return SigningPolicyView.Of(await SigningPolicy.LoadAsync(session, ct));
        }
    }
}
