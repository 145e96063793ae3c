using JasperFx.Events;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Models;

/// <summary>Which versions were in which stage at a moment, since when and by whom.</summary>
internal static class GetStages
{
    /// <param name="At">The moment; now when it is left out.</param>
    [Needs(Permissions.Read)]
    internal sealed record Query(string Model, DateTimeOffset? At = null) : IRequest<Result<IReadOnlyList<Period>>>;

    /// <param name="Stage">Staging, Production or Archived; a version in none has no period.</param>
    /// <param name="Until">When it left the stage or was deleted; null while it is in it.</param>
    internal sealed record Period(int Version, string Stage, DateTimeOffset Since, DateTimeOffset? Until, string MovedBy, string? EndedBy);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("models/{model}/stages", Get).WithName(nameof(GetStages)).Needs(Permissions.Read).WithSummary("Get which versions are, or at a moment were, in which stage")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<IReadOnlyList<Period>>, ProblemHttpResult>> Get(string model, IMediator mediator, CancellationToken ct, DateTimeOffset? at = null) =>
        mediator.Send(new Query(model, at), ct).ToOk();

    /// <summary>All that a model's stream tells of stages, in the order in which they began.</summary>
    internal static IReadOnlyList<Period> Of(IReadOnlyList<IEvent> stream)
    {
        List<Period> periods = [];
        foreach (var happened in stream)
        {
            var (version, stage) = happened.Data switch
            {
                VersionAdded added => (added.Version, added.Stage ?? "None"),
                VersionStageChanged changed => (changed.Version, changed.Stage),
                VersionDeleted deleted => (deleted.Version, "None"),
                ModelDeleted => (0, "None"),
                _ => (-1, ""),
            };
            if (version < 0) continue;
            var by = happened.UserName ?? "system";
            for (var i = 0; i < periods.Count; i++)
            {
                if (periods[i] is { Until: null } open && (version == 0 || open.Version == version)) periods[i] = open with { Until = happened.Timestamp, EndedBy = by };
            }

            if (stage is not "None") periods.Add(new(version, stage, happened.Timestamp, null, by, null));
        }

        return periods;
    }

    internal sealed class Handler(IQuerySession session, TimeProvider time) : IRequestHandler<Query, Result<IReadOnlyList<Period>>>
    {
        public async Task<Result<IReadOnlyList<Period>>> Handle(Query query, CancellationToken ct)
        {
            var at = query.At ?? time.GetUtcNow();
            // The whole stream, also of a model that is deleted by now: its past is still its past.
            var stream = await session.Events.FetchStreamAsync(RegisteredModel.Key(query.Model), token: ct);
            return stream.Count == 0 ? Refusal.NotFound("model", query.Model)
                : Result<IReadOnlyList<Period>>.Ok([.. Of(stream).Where(p => p.Since <= at && (p.Until is null || p.Until > at)).OrderBy(p => p.Version)]);
        }
    }
}
