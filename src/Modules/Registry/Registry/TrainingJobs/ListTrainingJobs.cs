using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.TrainingJobs;

/// <summary>The latest 200 trainings, newest first.</summary>
internal static class ListTrainingJobs
{
    private const int Limit = 200;

    [Needs(Permissions.Read)]
    internal sealed record Query : IRequest<Result<IReadOnlyList<TrainingJobView>>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("training-jobs", Get).WithName(nameof(ListTrainingJobs)).Needs(Permissions.Read).WithSummary("List training jobs");

    private static Task<Results<Ok<IReadOnlyList<TrainingJobView>>, ProblemHttpResult>> Get(IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Query(), ct).ToOk();

    internal sealed class Handler(IQuerySession session) : IRequestHandler<Query, Result<IReadOnlyList<TrainingJobView>>>
    {
        public async Task<Result<IReadOnlyList<TrainingJobView>>> Handle(Query query, CancellationToken ct)
        {
            var jobs = await session.Query<TrainingJob>().OrderByDescending(j => j.RequestedAt).Take(Limit).ToListAsync(ct);
            string[] running = [.. jobs.Where(j => j.Status is TrainingStatus.Running).Select(j => j.Id)];
            var progress = (await session.LoadManyAsync<TrainingProgress>(ct, running)).ToDictionary(p => p.Id);
            return Result<IReadOnlyList<TrainingJobView>>.Ok([.. jobs.Select(j => TrainingJobView.Of(j, progress.GetValueOrDefault(j.Id)))]);
        }
    }
}
