using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Features.Entities;

/// <summary>Names a kind of thing, so that feature views can say what they describe.</summary>
internal static class CreateEntity
{
    /// <param name="Description">What the thing is and what its key looks like.</param>
    [Needs(Permissions.Write)]
    internal sealed record Command(string Name, string? Description = null) : IRequest<Result<EntityView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Name).IsName();
            RuleFor(c => c.Description).MaximumLength(2000);
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("entities", Post).WithName(nameof(CreateEntity)).Needs(Permissions.Write).WithSummary("Create an entity")
            .ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Created<EntityView>, ProblemHttpResult>> Post(Command command, IMediator mediator, CancellationToken ct) =>
        mediator.Send(command, ct).ToCreated(entity => $"/api/v1/features/entities/{entity.Name}");

    internal sealed class Handler(IDocumentSession session) : IRequestHandler<Command, Result<EntityView>>
    {
        public async Task<Result<EntityView>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForWriting<Entity>(Entity.Key(command.Name), ct);
            if (stream.Aggregate is not null)
            {
                return Refusal.Conflict("entity-exists", $"There is an entity '{command.Name}' already.", "name", "Choose another name, or use the entity that is there.");
            }

            stream.AppendOne(new EntityCreated(command.Description));
            await session.SaveChangesAsync(ct);
            return EntityView.Of((await session.LoadAsync<Entity>(Entity.Key(command.Name), ct))!);
        }
    }
}
