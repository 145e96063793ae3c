using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Governance.Policies;

/// <summary>Switches the approval rule on or off for the tenant. Either is an event with its reason, so an audit sees when the gate stood open and who opened it.</summary>
internal static class SetPolicy
{
    [Needs(Permissions.Write)]
    internal sealed record Command(bool ApprovalRequired, string Reason) : IRequest<Result<PolicyView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules() => RuleFor(c => c.Reason).NotEmpty().MaximumLength(2000);
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPut("policy", Put).WithName(nameof(SetPolicy)).Needs(Permissions.Write).WithSummary("Set the policy");

    private static Task<Results<Ok<PolicyView>, ProblemHttpResult>> Put(Command command, IMediator mediator, CancellationToken ct) => mediator.Send(command, ct).ToOk();

    internal sealed class Handler(IDocumentSession session) : IRequestHandler<Command, Result<PolicyView>>
    {
        public async Task<Result<PolicyView>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForWriting<Policy>(Policy.Key, ct);
            if ((stream.Aggregate ?? Policy.Default).ApprovalRequired != command.ApprovalRequired)
            {
                stream.AppendOne(new ApprovalRuleSwitched(command.ApprovalRequired, command.Reason));
                await session.SaveChangesAsync(ct);
            }

            return new PolicyView(command.ApprovalRequired);
        }
    }
}
