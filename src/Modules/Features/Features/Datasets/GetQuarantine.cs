using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Features.Datasets.Csv;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Features.Datasets;

/// <summary>The rows of a dataset's newest version that were set aside, a page of them: where they stand in the uploaded file and what is wrong with them.</summary>
internal static class GetQuarantine
{
    internal const int MostRows = 1_000;

    [Needs(Permissions.Read)]
    internal sealed record Query(string Dataset, int Offset = 0, int Limit = 100) : IRequest<Result<Response>>;

    /// <param name="Total">All rows that were set aside. Of very many only the first million are kept to be shown.</param>
    internal sealed record Response(string Dataset, int Version, long Total, int Offset, IReadOnlyList<RowFault> Rows);

    internal sealed class Rules : AbstractValidator<Query>
    {
        public Rules()
        {
            RuleFor(q => q.Offset).GreaterThanOrEqualTo(0);
            RuleFor(q => q.Limit).InclusiveBetween(1, MostRows);
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("datasets/{dataset}/quarantine", Get).WithName(nameof(GetQuarantine)).Needs(Permissions.Read).WithSummary("Get a dataset's bad rows")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<Response>, ProblemHttpResult>> Get(string dataset, IMediator mediator, CancellationToken ct, int offset = 0, int limit = 100) =>
        mediator.Send(new Query(dataset, offset, limit), ct).ToOk();

    internal sealed class Handler(IQuerySession session, DatasetFiles files) : IRequestHandler<Query, Result<Response>>
    {
        public async Task<Result<Response>> Handle(Query query, CancellationToken ct)
        {
            var found = await Dataset.FindAsync(session, query.Dataset, number: null, ct);
            if (found.Refusal is { } refusal) return refusal;
            var version = found.Value.Version;
            return new Response(query.Dataset, version.Number, version.Quarantined, query.Offset,
                version.QuarantineSha256 is { } sha256 ? await ReadAsync(sha256, query, ct) : []);
        }

        private async Task<IReadOnlyList<RowFault>> ReadAsync(string sha256, Query query, CancellationToken ct)
        {
            await using var rows = await CanonicalCsv.OpenAsync(await files.OpenAsync(sha256, ct), ct);
            for (var skipped = 0; skipped < query.Offset; skipped++)
            {
                if (!await rows.ReadAsync(ct)) return [];
            }

            List<RowFault> page = [];
            while (page.Count < query.Limit && await rows.ReadAsync(ct))
            {
                page.Add(new RowFault(rows.GetInt64(0), rows.GetString(1) is { Length: > 0 } column ? column : null, rows.GetString(2), rows.GetString(3)));
            }

            return page;
        }
    }
}
