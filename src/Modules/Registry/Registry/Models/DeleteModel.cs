using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Retention;

namespace Platform.Registry.Models;

/// <summary>Deletes a model with all its versions. Its name is free at once; its past can still be asked about.</summary>
internal static class DeleteModel
{
    [Needs(Permissions.Write)]
    internal sealed record Command(string Model) : IRequest<Result<Done>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapDelete("models/{model}", Delete).WithName(nameof(DeleteModel)).Needs(Permissions.Write).WithSummary("Delete a model with its versions")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<NoContent, ProblemHttpResult>> Delete(string model, IMediator mediator, CancellationToken ct) => mediator.Send(new Command(model), ct).ToNoContent();

    internal sealed class Handler(IDocumentSession session, IMediator mediator, RetentionStore retention, CallerScope scope) : IRequestHandler<Command, Result<Done>>
    {
        public async Task<Result<Done>> Handle(Command command, CancellationToken ct)
        {
            if (await mediator.WhyNeededAsync(retention, scope.Current.Tenant, command.Model, ct) is { } needed) return needed;
            var deleted = await session.WriteModelAsync(command.Model, _ => ModelWrites.Events(new ModelDeleted(null)), ct);
            return deleted.Refusal is { } refusal ? refusal : Done.Value;
        }
    }
}
