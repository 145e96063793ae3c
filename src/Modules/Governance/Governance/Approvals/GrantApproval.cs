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

/// <summary>Grants an approval. The version's own author cannot: two pairs of eyes see what goes live.</summary>
internal static class GrantApproval
{
    internal sealed record Body(string? Note = null);

    [Needs(Permissions.Approve)]
    internal sealed record Command(Guid Id, string? Note) : IRequest<Result<ApprovalView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules() => RuleFor(c => c.Note).MaximumLength(2000);
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("approvals/{id:guid}/grant", Post).WithName(nameof(GrantApproval)).Needs(Permissions.Approve).WithSummary("Grant an approval")
            .ProducesProblem(StatusCodes.Status403Forbidden).ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Ok<ApprovalView>, ProblemHttpResult>> Post(Guid id, Body? body, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(id, body?.Note), ct).ToOk();

    internal static Result<ApprovalGranted> Decide(Approval approval, string by, string? note) =>
        approval.Status is not ApprovalStatus.Open
            ? Refusal.Conflict("already-decided", $"This approval was {approval.Status.ToString().ToLowerInvariant()} already.", null, "Request a new one if it should be looked at again.")
            : approval.Author == by
                ? Refusal.Forbidden("own-version", "You made this version, so somebody else has to approve it.", "Ask another person with the permission 'governance:approve'.")
                : new ApprovalGranted(note);

    internal sealed class Handler(IDocumentSession session, CallerScope scope) : IRequestHandler<Command, Result<ApprovalView>>
    {
        public async Task<Result<ApprovalView>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForWriting<Approval>(Approval.Key(command.Id), ct);
            if (stream.Aggregate is not { } approval) return Refusal.NotFound("approval", command.Id.ToString());
            var decided = Decide(approval, scope.Current.Subject, command.Note);
            if (decided.Refusal is { } refusal) return refusal;
            stream.AppendOne(decided.Value);
            await session.SaveChangesAsync(ct);
            return ApprovalView.Of((await session.LoadAsync<Approval>(Approval.Key(command.Id), ct))!);
        }
    }
}
