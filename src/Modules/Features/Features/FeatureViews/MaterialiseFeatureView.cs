using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Features.Datasets;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Features.FeatureViews;

/// <summary>Fills the online store from the dataset's newest version, as a job. Look-ups answer from what was there before until all of it is in. Asking again while a run is under way gives that run.</summary>
internal static class MaterialiseFeatureView
{
    /// <summary>A run that has not reported for so long was lost with its worker, and may be asked for again.</summary>
    internal static readonly TimeSpan Lost = TimeSpan.FromMinutes(2);

    [Needs(Permissions.Write)]
    internal sealed record Command(string View) : IRequest<Result<FeatureViewView>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("feature-views/{view}/materialise", Post).WithName(nameof(MaterialiseFeatureView)).Needs(Permissions.Write).WithSummary("Materialise a feature view")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Accepted<FeatureViewView>, ProblemHttpResult>> Post(string view, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(view), ct).ToAccepted(found => $"/api/v1/features/feature-views/{found.Name}");

    internal sealed class Handler(IDocumentSession session, IJobs jobs, CallerScope scope, TimeProvider time) : IRequestHandler<Command, Result<FeatureViewView>>
    {
        public async Task<Result<FeatureViewView>> Handle(Command command, CancellationToken ct)
        {
            var found = await FoundViews.FindAsync(session, command.View, ct);
            if (found.Refusal is { } refusal) return refusal;
            var dataset = await Dataset.FindAsync(session, found.Value.Dataset, number: null, ct);
            if (dataset.Refusal is { } noDataset) return noDataset;

            var now = time.GetUtcNow();
            var run = await session.LoadAsync<MaterialisationRun>(command.View, ct);
            if (run is null || run.HasEnded || now - run.UpdatedAt > Lost)
            {
                run = new MaterialisationRun(command.View, Guid.CreateVersion7(), MaterialisationStatus.Queued, 0, "Waiting for a worker", now, now, Failure: null);
                session.Store(run);
                await session.SaveChangesAsync(ct);
                jobs.Enqueue<Materialisation, Materialisation.Args>(scope.Current.Tenant, new Materialisation.Args(command.View, run.Run));
            }

            return FeatureViewView.Of(found.Value, await FoundViews.ProfileAsync(session, found.Value, ct), run);
        }
    }
}
