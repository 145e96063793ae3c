using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Governance.Approvals;

/// <summary>Says no, with the reason. The version stays as it is and can be asked for again.</summary>
internal static class RejectApproval
{
    internal sealed record Body(string Reason);

    [Needs(Permissions.Approve)]
    internal sealed record Command(Guid Id, string Reason) : IRequest<Result<ApprovalView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules() => RuleFor(c => c.Reason).NotEmpty().MaximumLength(2000);
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("approvals/{id:guid}/reject", Post).WithName(nameof(RejectApproval)).Needs(Permissions.Approve).WithSummary("Reject an approval")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Ok<ApprovalView>, ProblemHttpResult>> Post(Guid id, Body body, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(id, body.Reason), ct).ToOk();

    internal static Result<ApprovalRejected> Decide(Approval approval, string reason) =>
        approval.Status is ApprovalStatus.Open
            ? new ApprovalRejected(reason)
            : Refusal.Conflict("already-decided", $"This approval was {approval.Status.ToString().ToLowerInvariant()} already.");

    internal sealed class Handler(IDocumentSession session) : IRequestHandler<Command, Result<ApprovalView>>
    {
        public async Task<Result<ApprovalView>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForWriting<Approval>(Approval.Key(command.Id), ct);
            if (stream.Aggregate is not { } approval) return Refusal.NotFound("approval", command.Id.ToString());
            var decided = Decide(approval, command.Reason);
            if (decided.Refusal is { } refusal) return refusal;
            stream.AppendOne(decided.Value);
            await session.SaveChangesAsync(ct);
            return ApprovalView.Of((await session.LoadAsync<Approval>(Approval.Key(command.Id), ct))!);
        }
    }
}
