using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Features.FeatureViews;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Features.Datasets;

/// <summary>Deletes a dataset with all its versions, files and statistics. Models trained on it keep its hash and nothing else of it.</summary>
internal static class DeleteDataset
{
    [Needs(Permissions.Write)]
    internal sealed record Command(string Dataset) : IRequest<Result<Done>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapDelete("datasets/{dataset}", Delete).WithName(nameof(DeleteDataset)).Needs(Permissions.Write).WithSummary("Delete a dataset")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<NoContent, ProblemHttpResult>> Delete(string dataset, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(dataset), ct).ToNoContent();

    internal static Result<DatasetDeleted> Decide(Dataset dataset, IReadOnlyList<string> views) => views.Count == 0
        ? new DatasetDeleted()
        : Refusal.Conflict("dataset-in-use", $"Feature views are made of '{dataset.Name()}': {string.Join(", ", views)}.", "dataset", "Delete these feature views first.");

    internal sealed class Handler(IDocumentSession session) : IRequestHandler<Command, Result<Done>>
    {
        public async Task<Result<Done>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForWriting<Dataset>(Dataset.Key(command.Dataset), ct);
            if (stream.Aggregate is not { Versions.Count: > 0 } dataset) return Refusal.NotFound("dataset", command.Dataset);
            var views = await session.Query<FeatureView>().Where(v => v.Dataset == command.Dataset && !v.Deleted).ToListAsync(ct);
            var decided = Decide(dataset, [.. views.Select(v => v.Name())]);
            if (decided.Refusal is { } refusal) return refusal;

            stream.AppendOne(decided.Value);
            session.DeleteWhere<DatasetProfile>(p => p.Dataset == command.Dataset);
            await session.SaveChangesAsync(ct);
            return Done.Value;
        }
    }
}
