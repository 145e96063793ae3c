using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Features.OnlineStore;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Features.FeatureViews;

/// <summary>Deletes a feature view and what the online store holds of it. Endpoints that look features up in it refuse from then on, and say why.</summary>
internal static class DeleteFeatureView
{
    [Needs(Permissions.Write)]
    internal sealed record Command(string View) : IRequest<Result<Done>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapDelete("feature-views/{view}", Delete).WithName(nameof(DeleteFeatureView)).Needs(Permissions.Write).WithSummary("Delete a feature view")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<NoContent, ProblemHttpResult>> Delete(string view, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(view), ct).ToNoContent();

    internal sealed class Handler(IDocumentSession session, OnlineTable online, CallerScope scope) : IRequestHandler<Command, Result<Done>>
    {
        public async Task<Result<Done>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForExclusiveWriting<FeatureView>(FeatureView.Key(command.View), ct);
            if (stream.Aggregate is not { Deleted: false }) return Refusal.NotFound("feature view", command.View);
            stream.AppendOne(new FeatureViewDeleted());
            session.Delete<MaterialisationRun>(command.View);
            await session.SaveChangesAsync(ct);

            // After the event, so that a materialisation under way finds the view deleted and removes its values itself.
            await online.RemoveAsync(scope.Current.Tenant, command.View, ct);
            session.Raise(new Signal(OnlineFeatures.Topic, scope.Current.Tenant, command.View));
            await session.SaveChangesAsync(ct);
            return Done.Value;
        }
    }
}
