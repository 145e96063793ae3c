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

/// <summary>The first accepted rows of a dataset's newest version, as they were understood.</summary>
internal static class PreviewRows
{
    internal const int MostRows = 1_000;
    private const int LongestText = 1_000;

    [Needs(Permissions.Read)]
    internal sealed record Query(string Dataset, int Limit = 20) : IRequest<Result<Response>>;

    /// <param name="Rows">Values in the order of the columns: numbers, flags, texts (cut when very long), dates as ISO 8601, null where missing.</param>
    internal sealed record Response(string Dataset, int Version, IReadOnlyList<string> Columns, IReadOnlyList<object?[]> Rows);

    internal sealed class Rules : AbstractValidator<Query>
    {
        public Rules() => RuleFor(q => q.Limit).InclusiveBetween(1, MostRows);
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("datasets/{dataset}/rows", Get).WithName(nameof(PreviewRows)).Needs(Permissions.Read).WithSummary("Preview a dataset's rows")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<Response>, ProblemHttpResult>> Get(string dataset, IMediator mediator, CancellationToken ct, int limit = 20) =>
        mediator.Send(new Query(dataset, limit), ct).ToOk();

    internal sealed class Handler(IQuerySession session, DatasetFiles files) : IRequestHandler<Query, Result<Response>>
    {
        public async Task<Result<Response>> Handle(Query query, CancellationToken ct)
        {
            var found = await Dataset.FindAsync(session, query.Dataset, number: null, ct);
            if (found.Refusal is { } refusal) return refusal;
            var (_, version, profile) = found.Value;

            await using var csv = await CanonicalCsv.OpenAsync(await files.OpenAsync(version.ContentSha256, ct), ct);
            List<object?[]> rows = [];
            while (rows.Count < query.Limit && await csv.ReadAsync(ct))
            {
                rows.Add([.. profile.Columns.Select((column, i) => CellValue.Of(column.Type, csv.GetFieldSpan(i)) switch
                {
                    string text => Cell.Shorten(text, LongestText),
                    var other => other,
                })]);
            }

            return new Response(query.Dataset, version.Number, [.. profile.Columns.Select(c => c.Name)], rows);
        }
    }
}
