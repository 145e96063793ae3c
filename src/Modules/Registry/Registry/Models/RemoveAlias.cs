using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Models;

/// <summary>Takes an alias away; endpoints that serve it have nothing to serve from then on. Removing what is not there is fine.</summary>
internal static class RemoveAlias
{
    [Needs(Permissions.Write)]
    internal sealed record Command(string Model, string Alias) : IRequest<Result<Done>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapDelete("models/{model}/aliases/{alias}", Delete).WithName(nameof(RemoveAlias)).Needs(Permissions.Write).WithSummary("Remove an alias")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<NoContent, ProblemHttpResult>> Delete(string model, string alias, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(model, alias), ct).ToNoContent();

    internal sealed class Handler(IDocumentSession session) : IRequestHandler<Command, Result<Done>>
    {
        public async Task<Result<Done>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForWriting<RegisteredModel>(RegisteredModel.Key(command.Model), ct);
            if (stream.Aggregate is not { Deleted: false } model) return Refusal.NotFound("model", command.Model);
            if (!model.Aliases.ContainsKey(command.Alias)) return Done.Value;
            stream.AppendOne(new ModelAliasRemoved(command.Alias));
            await session.SaveChangesAsync(ct);
            return Done.Value;
        }
    }
}
