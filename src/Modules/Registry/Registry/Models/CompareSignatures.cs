using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Models;

/// <summary>What callers of one version would notice if another took its place, each difference compatible or breaking.</summary>
internal static class CompareSignatures
{
    /// <param name="Since">An alias or a version's number; the version before when it is left out.</param>
    [Needs(Permissions.Read)]
    internal sealed record Query(string Model, int Version, string? Since = null) : IRequest<Result<View>>;

    /// <param name="Since">The version it is compared with.</param>
    /// <param name="Compatible">Whether callers of that version may be answered by this one unchanged.</param>
    internal sealed record View(string Model, int Version, int Since, bool Compatible, IReadOnlyList<SignatureChange> Changes);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("models/{model}/versions/{version:int}/signature-changes", Get).WithName(nameof(CompareSignatures)).Needs(Permissions.Read)
            .WithSummary("Compare a version's signature with another's").ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<View>, ProblemHttpResult>> Get(string model, int version, IMediator mediator, CancellationToken ct, string? since = null) =>
        mediator.Send(new Query(model, version, since), ct).ToOk();

    internal sealed class Handler(IQuerySession session) : IRequestHandler<Query, Result<View>>
    {
        public async Task<Result<View>> Handle(Query query, CancellationToken ct)
        {
            if (await session.FindModelAsync(query.Model, ct) is not { } model) return Refusal.NotFound("model", query.Model);
            if (await session.LoadAsync<ModelVersion>(ModelVersion.Key(query.Model, query.Version), ct) is not { } version) return Missing(query.Version.ToString());
            var before = query.Since switch
            {
                null => await session.Query<ModelVersion>().Where(other => other.Model == query.Model && other.Facts.Version < query.Version).OrderByDescending(other => other.Facts.Version).FirstOrDefaultAsync(ct),
                _ when int.TryParse(query.Since, out var number) || model.Aliases.TryGetValue(query.Since, out number) => await session.LoadAsync<ModelVersion>(ModelVersion.Key(query.Model, number), ct),
                _ => null,
            };
            if (before is null) return Missing(query.Since ?? $"any before {query.Version}");
            var changes = SignatureChange.Between(before.Facts, version.Facts);
            return new View(query.Model, query.Version, before.Facts.Version, changes.All(change => !change.Breaking), changes);

            Refusal Missing(string which) => Refusal.NotFound("model version", $"{query.Model}/{which}");
        }
    }
}
