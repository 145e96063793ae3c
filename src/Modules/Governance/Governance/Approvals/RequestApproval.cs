using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Contracts;

namespace Platform.Governance.Approvals;

/// <summary>Asks that a model version may take an alias; anyone but its author can then grant it. Asking again while the question is open gives the same one.</summary>
internal static class RequestApproval
{
    /// <param name="Alias">The alias it is to take; <c>champion</c> unless said otherwise.</param>
    /// <param name="Note">What the approver should know.</param>
    [Needs(Permissions.Request)]
    internal sealed record Command(string Model, int Version, string Alias = "champion", string? Note = null) : IRequest<Result<ApprovalView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            // Models that were registered through MLflow have names of their own kind.
            RuleFor(c => c.Model).NotEmpty().MaximumLength(256).Must(model => model is null || !model.Any(char.IsControl)).WithMessage("A model's name has no control characters.");
            RuleFor(c => c.Alias).IsName();
            RuleFor(c => c.Version).GreaterThan(0);
            RuleFor(c => c.Note).MaximumLength(2000);
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("approvals", Post).WithName(nameof(RequestApproval)).Needs(Permissions.Request).WithSummary("Request an approval")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Created<ApprovalView>, ProblemHttpResult>> Post(Command command, IMediator mediator, CancellationToken ct) =>
        mediator.Send(command, ct).ToCreated(approval => $"/api/v1/governance/approvals/{approval.Id}");

    internal sealed class Handler(IDocumentSession session, IMediator mediator) : IRequestHandler<Command, Result<ApprovalView>>
    {
        public async Task<Result<ApprovalView>> Handle(Command command, CancellationToken ct)
        {
            var version = (await mediator.Send(new ResolveVersions([new(command.Model, command.Version.ToString())]), ct))[0];
            if (!version.ModelExists) return Refusal.NotFound("model", command.Model);
            if (version.Version is null && version.WhyNotServed is null) return Refusal.NotFound("model version", $"{command.Model}/{command.Version}");

            var open = await session.Query<Approval>().FirstOrDefaultAsync(
                a => a.Model == command.Model && a.ModelVersion == command.Version && a.Alias == command.Alias && a.Status == ApprovalStatus.Open, ct);
            if (open is not null) return ApprovalView.Of(open);

            var id = Guid.CreateVersion7();
            session.Events.StartStream<Approval>(Approval.Key(id), new ApprovalRequested(command.Model, command.Version, command.Alias, version.Author ?? "system", command.Note));
            await session.SaveChangesAsync(ct);
            return ApprovalView.Of((await session.LoadAsync<Approval>(Approval.Key(id), ct))!);
        }
    }
}
