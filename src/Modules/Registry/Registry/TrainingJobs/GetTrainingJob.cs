using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.TrainingJobs;

/// <summary>How far a training is, and how it ended: with a version, or with the refusal that says why not.</summary>
internal static class GetTrainingJob
{
    [Needs(Permissions.Read)]
    internal sealed record Query(Guid Id) : IRequest<Result<TrainingJobView>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("training-jobs/{id:guid}", Get).WithName(nameof(GetTrainingJob)).Needs(Permissions.Read).WithSummary("Get a training job")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<TrainingJobView>, ProblemHttpResult>> Get(Guid id, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Query(id), ct).ToOk();

    internal sealed class Handler(IQuerySession session) : IRequestHandler<Query, Result<TrainingJobView>>
    {
        public async Task<Result<TrainingJobView>> Handle(Query query, CancellationToken ct) =>
            await session.LoadAsync<TrainingJob>(TrainingJob.Key(query.Id), ct) is { } job
                ? TrainingJobView.Of(job, await session.LoadAsync<TrainingProgress>(job.Id, ct))
                : Refusal.NotFound("training job", query.Id.ToString());
    }
}
