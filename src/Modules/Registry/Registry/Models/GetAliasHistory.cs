using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Models;

/// <summary>Every version an alias has meant, from when to when, by whom and with which approval: who was <c>champion</c> when.</summary>
internal static class GetAliasHistory
{
    /// <param name="Alias">Null for all that the model has had.</param>
    [Needs(Permissions.Read)]
    internal sealed record Query(string Model, string? Alias) : IRequest<Result<IReadOnlyList<Period>>>;

    /// <param name="Until">When it was moved on or taken away; null while it means this version.</param>
    /// <param name="MovedBy">Who pointed it there.</param>
    /// <param name="EndedBy">Who moved it on or took it away.</param>
    internal sealed record Period(string Alias, int Version, DateTimeOffset Since, DateTimeOffset? Until, string MovedBy, string? EndedBy, Guid? ApprovalId);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("models/{model}/aliases/{alias}/history", Get).WithName(nameof(GetAliasHistory)).Needs(Permissions.Read).WithSummary("Get every version an alias has meant")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<IReadOnlyList<Period>>, ProblemHttpResult>> Get(string model, string alias, IMediator mediator, CancellationToken ct) => mediator.Send(new Query(model, alias), ct).ToOk();

    internal sealed class Handler(IQuerySession session) : IRequestHandler<Query, Result<IReadOnlyList<Period>>>
    {
        public async Task<Result<IReadOnlyList<Period>>> Handle(Query query, CancellationToken ct)
        {
            List<Period> periods = [];
            // The whole stream, also of a model that is deleted by now: its past is still its past.
            var stream = await session.Events.FetchStreamAsync(RegisteredModel.Key(query.Model), token: ct);
            foreach (var happened in stream)
            {
                var (alias, version, approval) = happened.Data switch
                {
                    ModelAliasMoved moved => (moved.Alias, moved.Version, moved.ApprovalId),
                    ModelAliasRemoved removed => (removed.Alias, 0, null),
                    _ => ((string?)null, 0, (Guid?)null),
                };
                if (alias is null && happened.Data is not ModelDeleted) continue;
                var by = happened.UserName ?? "system";
                for (var i = 0; i < periods.Count; i++)
                {
                    if (periods[i] is { Until: null } open && (alias is null || open.Alias == alias)) periods[i] = open with { Until = happened.Timestamp, EndedBy = by };
                }

                if (version > 0 && (query.Alias is null || query.Alias == alias)) periods.Add(new(alias!, version, happened.Timestamp, null, by, null, approval));
            }

            if (stream.Count == 0) return Refusal.NotFound("model", query.Model);
            return query.Alias is not null && periods.Count == 0
                ? new Refusal(RefusalKind.NotFound, "no-such-alias", $"'{query.Model}' has never had an alias '{query.Alias}'.", "alias", "List the model's aliases.")
                : Result<IReadOnlyList<Period>>.Ok([.. periods.OrderBy(p => p.Alias, StringComparer.Ordinal).ThenBy(p => p.Since)]);
        }
    }
}
