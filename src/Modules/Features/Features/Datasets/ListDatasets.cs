using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Features.Datasets;

/// <summary>The tenant's datasets by name, each with its newest version.</summary>
internal static class ListDatasets
{
    [Needs(Permissions.Read)]
    internal sealed record Query : IRequest<Result<IReadOnlyList<Summary>>>;

    /// <param name="Version">The newest version.</param>
    /// <param name="Quarantined">Rows of it that were set aside.</param>
    internal sealed record Summary(string Name, int Version, long Rows, long Quarantined, string ContentSha256, DateTimeOffset UploadedAt, string UploadedBy);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("datasets", Get).WithName(nameof(ListDatasets)).Needs(Permissions.Read).WithSummary("List datasets");

    private static Task<Results<Ok<IReadOnlyList<Summary>>, ProblemHttpResult>> Get(IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Query(), ct).ToOk();

    internal sealed class Handler(IQuerySession session) : IRequestHandler<Query, Result<IReadOnlyList<Summary>>>
    {
        public async Task<Result<IReadOnlyList<Summary>>> Handle(Query query, CancellationToken ct)
        {
            var datasets = await session.Query<Dataset>().OrderBy(d => d.Id).ToListAsync(ct);
            return Result<IReadOnlyList<Summary>>.Ok([.. datasets.Where(d => d.Versions.Count > 0).Select(Of)]);
        }

        private static Summary Of(Dataset dataset)
        {
            var newest = dataset.Newest()!;
            return new(dataset.Name(), newest.Number, newest.Rows, newest.Quarantined, newest.ContentSha256, newest.UploadedAt, newest.UploadedBy);
        }
    }
}
