using System.Text;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;

namespace Platform.Registry.Models;

/// <summary>What the training wrote down for a person: the split, columns left out and why, candidates tried, the proof that the graph is the model.</summary>
internal static class DownloadTrainingLog
{
    [Needs(Permissions.Read)]
    internal sealed record Query(string Model, int Version) : IRequest<Result<string>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("models/{model}/versions/{version:int}/log", GetAsync).WithName(nameof(DownloadTrainingLog)).Needs(Permissions.Read).WithSummary("Read a version's training log")
            .Produces<string>(StatusCodes.Status200OK, "text/plain").ProducesProblem(StatusCodes.Status404NotFound);

    private static async Task<Results<ContentHttpResult, ProblemHttpResult>> GetAsync(string model, int version, IMediator mediator, CancellationToken ct)
    {
        var log = await mediator.Send(new Query(model, version), ct);
        return log.Refusal is { } refusal ? refusal.ToProblem() : TypedResults.Text(log.Value, "text/plain", Encoding.UTF8);
    }

    internal sealed class Handler(IQuerySession session, IBlobStore blobs, CallerScope scope) : IRequestHandler<Query, Result<string>>
    {
        public async Task<Result<string>> Handle(Query query, CancellationToken ct)
        {
            if (await session.LoadAsync<ModelVersion>(ModelVersion.Key(query.Model, query.Version), ct) is not { } version)
            {
                return Refusal.NotFound("model version", $"{query.Model}/{query.Version}");
            }

            if ((version.Facts.Training?.LogSha256 ?? version.Facts.Customisation?.Tuning?.LogSha256) is not { } log) return Refusal.NotFound("training log", $"{query.Model}/{query.Version}");
            await using var stream = await blobs.OpenAsync(scope.Current.Tenant, log, ct);
            using var reader = new StreamReader(stream, Encoding.UTF8);
            return await reader.ReadToEndAsync(ct);
        }
    }
}
