using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Models;

/// <summary>Gives a model its name; versions are uploaded or trained into it afterwards. Training registers a model that is not there yet by itself.</summary>
internal static class RegisterModel
{
    /// <param name="Name">Part of URLs.</param>
    [Needs(Permissions.Write)]
    internal sealed record Command(string Name, string? Description = null) : IRequest<Result<ModelView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Name).IsName();
            RuleFor(c => c.Description).MaximumLength(2000);
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("models", Post).WithName(nameof(RegisterModel)).Needs(Permissions.Write).WithSummary("Register a model")
            .ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Created<ModelView>, ProblemHttpResult>> Post(Command command, IMediator mediator, CancellationToken ct) =>
        mediator.Send(command, ct).ToCreated(model => $"/api/v1/registry/models/{model.Name}");

    internal sealed class Handler(IDocumentSession session) : IRequestHandler<Command, Result<ModelView>>
    {
        public async Task<Result<ModelView>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.FetchForRegisteringAsync(command.Name, ct);
            if (stream.Aggregate is { Deleted: false })
            {
                return Refusal.Conflict("model-exists", $"There is a model '{command.Name}' already.", "name", "Add a version to it, or choose another name.");
            }

            stream.AppendOne(new ModelRegistered(command.Description));
            await session.SaveChangesAsync(ct);
            return ModelView.Of((await session.FindModelAsync(command.Name, ct))!);
        }
    }
}
