using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.TrainingJobs;

/// <summary>Ends a training without a version. From here none can come of it; the worker notices within a second and stops its child process.</summary>
internal static class CancelTrainingJob
{
    [Needs(Permissions.Write)]
    internal sealed record Command(Guid Id) : IRequest<Result<TrainingJobView>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("training-jobs/{id:guid}/cancel", Post).WithName(nameof(CancelTrainingJob)).Needs(Permissions.Write).WithSummary("Cancel a training job")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Ok<TrainingJobView>, ProblemHttpResult>> Post(Guid id, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(id), ct).ToOk();

    internal static Result<TrainingCancelled> Decide(TrainingJob job) =>
        job.HasEnded
            ? Refusal.Conflict("already-ended", $"This training has {job.Status.ToString().ToLowerInvariant()} already.")
            : new TrainingCancelled();

    internal sealed class Handler(IDocumentSession session) : IRequestHandler<Command, Result<TrainingJobView>>
    {
        public async Task<Result<TrainingJobView>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForWriting<TrainingJob>(TrainingJob.Key(command.Id), ct);
            if (stream.Aggregate is not { } job) return Refusal.NotFound("training job", command.Id.ToString());
            var decided = Decide(job);
            if (decided.Refusal is { } refusal) return refusal;
            stream.AppendOne(decided.Value);
            await session.SaveChangesAsync(ct);
            var cancelled = await session.LoadAsync<TrainingJob>(job.Id, ct);
            return TrainingJobView.Of(cancelled!, await session.LoadAsync<TrainingProgress>(job.Id, ct));
        }
    }
}
