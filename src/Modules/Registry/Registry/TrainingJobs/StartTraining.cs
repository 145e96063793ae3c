using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Features.Contracts;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Training;

namespace Platform.Registry.TrainingJobs;

/// <summary>Queues a training. What the columns already show to be impossible is refused here; what only the rows show ends the job with the same kind of refusal.</summary>
internal static class StartTraining
{
    /// <param name="Dataset">A ready dataset.</param>
    /// <param name="Target">The numeric column to predict.</param>
    /// <param name="Model">The model the version is added to; registered when it is not there.</param>
    /// <param name="TimeColumn">The date column that orders the rows, so that the test is newer than the training; the first date column unless said.</param>
    /// <param name="TestFraction">Part of the rows held out for the test.</param>
    /// <param name="Seed">The same rows and seed give the same model, byte for byte.</param>
    [Needs(Permissions.Write)]
    internal sealed record Command(string Dataset, string Target, string Model, string? TimeColumn = null, double TestFraction = 0.2, int Seed = 1)
        : IRequest<Result<TrainingJobView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Dataset).IsName();
            RuleFor(c => c.Model).IsName();
            RuleFor(c => c.Target).NotEmpty();
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("training-jobs", Post).WithName(nameof(StartTraining)).Needs(Permissions.Write).WithSummary("Start a training")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Accepted<TrainingJobView>, ProblemHttpResult>> Post(Command command, IMediator mediator, CancellationToken ct) =>
        mediator.Send(command, ct).ToAccepted(job => $"/api/v1/registry/training-jobs/{job.Id}");

    internal sealed class Handler(IDocumentSession session, IMediator mediator, IJobs jobs, CallerScope scope) : IRequestHandler<Command, Result<TrainingJobView>>
    {
        public async Task<Result<TrainingJobView>> Handle(Command command, CancellationToken ct)
        {
            var dataset = await mediator.Send(new OpenDataset(command.Dataset), ct);
            if (dataset.Refusal is { } noDataset) return noDataset;
            var asked = new TrainingRequested(command.Dataset, command.Target, command.Model, command.TimeColumn, command.TestFraction, command.Seed);
            if (Trainer.Judge(TrainingRun.ColumnsOf(dataset.Value), TrainingRun.SpecOf(asked)) is { } impossible) return impossible;

            var id = Guid.CreateVersion7();
            session.Events.StartStream<TrainingJob>(TrainingJob.Key(id), asked);
            await session.SaveChangesAsync(ct);
            // As it was asked for; by the time the answer is on its way it may be running.
            var queued = TrainingJobView.Of((await session.LoadAsync<TrainingJob>(TrainingJob.Key(id), ct))!, progress: null);
            jobs.Enqueue<TrainingRun, TrainingRun.Args>(scope.Current.Tenant, new TrainingRun.Args(id));
            return queued;
        }
    }
}
