using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Models;

namespace Platform.Registry.Sharing;

/// <summary>Withdraws a shared version: nobody sees it or derives from it any more. What was derived has its own copy and goes on working.</summary>
internal static class UnshareVersion
{
    [Needs(Permissions.Manage)]
    internal sealed record Command(string Model, int Version) : IRequest<Result<Done>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapDelete("models/{model}/versions/{version:int}/sharing", Delete).WithName(nameof(UnshareVersion)).Needs(Permissions.Manage).WithSummary("Stop sharing a version")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<NoContent, ProblemHttpResult>> Delete(string model, int version, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(model, version), ct).ToNoContent();

    internal sealed class Handler(IDocumentSession session, Publications publications, CallerScope scope) : IRequestHandler<Command, Result<Done>>
    {
        public async Task<Result<Done>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForExclusiveWriting<RegisteredModel>(RegisteredModel.Key(command.Model), ct);
            if (stream.Aggregate is not { Deleted: false }) return Refusal.NotFound("model", command.Model);
            if (await publications.FindOwnAsync(scope.Current.Tenant, command.Model, command.Version, ct) is not { } found) return Refusal.NotFound("shared version", $"{command.Model}/{command.Version}");
            if (found.Publication.WithdrawnAt is not null) return Done.Value;
            stream.AppendOne(new VersionUnshared(command.Version));
            await session.SaveChangesAsync(ct);
            return Done.Value;
        }
    }
}
