using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Features.Datasets;

/// <summary>A dataset's newest version with its columns' types and statistics, its first bad rows and its history.</summary>
internal static class GetDataset
{
    [Needs(Permissions.Read)]
    internal sealed record Query(string Dataset) : IRequest<Result<DatasetView>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("datasets/{dataset}", Get).WithName(nameof(GetDataset)).Needs(Permissions.Read).WithSummary("Get a dataset")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<DatasetView>, ProblemHttpResult>> Get(string dataset, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Query(dataset), ct).ToOk();

    internal sealed class Handler(IQuerySession session) : IRequestHandler<Query, Result<DatasetView>>
    {
        public async Task<Result<DatasetView>> Handle(Query query, CancellationToken ct)
        {
            var found = await Dataset.FindAsync(session, query.Dataset, number: null, ct);
            return found.Refusal is { } refusal ? refusal : DatasetView.Of(found.Value.Dataset, found.Value.Version, found.Value.Profile);
        }
    }
}
