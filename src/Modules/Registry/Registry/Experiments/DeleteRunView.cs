using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Experiments;

/// <summary>Takes a saved view away; the runs it showed are not touched.</summary>
internal static class DeleteRunView
{
    [Needs(Permissions.WriteRuns)]
    internal sealed record Command(string Experiment, string Name) : IRequest<Result<Done>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapDelete("experiments/{experiment}/views/{view}", Delete).WithName(nameof(DeleteRunView)).Needs(Permissions.WriteRuns).WithSummary("Delete a saved view")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<NoContent, ProblemHttpResult>> Delete(string experiment, string view, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(experiment, view), ct).ToNoContent();

    internal sealed class Handler(IDocumentSession session) : IRequestHandler<Command, Result<Done>>
    {
        public async Task<Result<Done>> Handle(Command command, CancellationToken ct)
        {
            if (!long.TryParse(command.Experiment, out var experiment) || await session.LoadAsync<SavedRunView>(SavedRunView.Key(experiment, command.Name), ct) is not { } saved)
            {
                return Refusal.NotFound("view", command.Name);
            }

            session.Delete(saved);
            await session.SaveChangesAsync(ct);
            return Done.Value;
        }
    }
}
