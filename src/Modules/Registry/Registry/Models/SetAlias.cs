using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Governance.Contracts;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Models;

/// <summary>Points an alias such as <c>champion</c> at a version; endpoints that serve the alias follow within a moment. Governance is asked first.</summary>
internal static class SetAlias
{
    internal sealed record Body(int Version);

    [Needs(Permissions.Write)]
    internal sealed record Command(string Model, string Alias, int Version) : IRequest<Result<ModelView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Alias).IsName();
            RuleFor(c => c.Alias).Must(a => string.IsNullOrEmpty(a) || !a.All(char.IsAsciiDigit)).WithMessage("'{PropertyValue}' cannot be an alias: it would be taken for a version number.");
            RuleFor(c => c.Version).GreaterThan(0);
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPut("models/{model}/aliases/{alias}", Put).WithName(nameof(SetAlias)).Needs(Permissions.Write).WithSummary("Point an alias at a version")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Ok<ModelView>, ProblemHttpResult>> Put(string model, string alias, Body body, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(model, alias, body.Version), ct).ToOk();

    /// <summary>The move, or null when the alias points there already.</summary>
    internal static Result<ModelAliasMoved?> Decide(RegisteredModel model, Command command, GateAnswer gate) =>
        model.Aliases.GetValueOrDefault(command.Alias) == command.Version ? Result<ModelAliasMoved?>.Ok(null)
        : gate.Allowed ? new ModelAliasMoved(command.Alias, command.Version, gate.ApprovalId)
        : Refusal.Conflict("approval-required", gate.Reason, "alias", gate.Mend);

    internal sealed class Handler(IDocumentSession session, IMediator mediator) : IRequestHandler<Command, Result<ModelView>>
    {
        public Task<Result<ModelView>> Handle(Command command, CancellationToken ct) => MoveAsync(session, mediator, command, ct);

        /// <summary>The one way an alias moves, for every dialect: Governance is asked.</summary>
        internal static async Task<Result<ModelView>> MoveAsync(IDocumentSession session, IMediator mediator, Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForWriting<RegisteredModel>(RegisteredModel.Key(command.Model), ct);
            if (stream.Aggregate is not { Deleted: false } model) return Refusal.NotFound("model", command.Model);
            if (await session.LoadAsync<ModelVersion>(ModelVersion.Key(command.Model, command.Version), ct) is not { } version)
            {
                return Refusal.NotFound("model version", $"{command.Model}/{command.Version}");
            }

            if (version.IsQuarantined)
            {
                return Refusal.Conflict("version-quarantined", $"Version {command.Version} of '{command.Model}' is quarantined: {version.Facts.Intake!.Why}", "version", "Mend what it says and add a new version.");
            }

            var gate = await mediator.Send(new CheckAliasGate(command.Model, command.Version, command.Alias, version.Facts.Author), ct);
            var decided = Decide(model, command, gate);
            if (decided.Refusal is { } refusal) return refusal;
            if (decided.Value is not { } moved) return ModelView.Of(model);
            stream.AppendOne(moved);
            await session.SaveChangesAsync(ct);
            return ModelView.Of(model.Apply(moved));
        }
    }
}
