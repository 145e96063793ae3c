using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Models;

/// <summary>Which version an alias meant at a moment, since when, by whom and with which approval: what was <c>champion</c> on that day.</summary>
internal static class GetAlias
{
    /// <param name="At">The moment; now when it is left out.</param>
    [Needs(Permissions.Read)]
    internal sealed record Query(string Model, string Alias, DateTimeOffset? At = null) : IRequest<Result<Response>>;

    /// <param name="Since">When it was pointed there.</param>
    /// <param name="MovedBy">Who pointed it there.</param>
    /// <param name="Until">When it was moved on or taken away; null when it was not.</param>
    internal sealed record Response(string Model, string Alias, int Version, DateTimeOffset Since, string MovedBy, Guid? ApprovalId, DateTimeOffset? Until);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("models/{model}/aliases/{alias}", Get).WithName(nameof(GetAlias)).Needs(Permissions.Read).WithSummary("Get the version an alias meant at a moment")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<Response>, ProblemHttpResult>> Get(string model, string alias, IMediator mediator, CancellationToken ct, DateTimeOffset? at = null) =>
        mediator.Send(new Query(model, alias, at), ct).ToOk();

    internal sealed class Handler(IQuerySession session, TimeProvider time) : IRequestHandler<Query, Result<Response>>
    {
        public async Task<Result<Response>> Handle(Query query, CancellationToken ct)
        {
            var at = query.At ?? time.GetUtcNow();
            Response? held = null;
            // The whole stream, also of a model that is deleted by now: its past is still its past.
            foreach (var happened in await session.Events.FetchStreamAsync(RegisteredModel.Key(query.Model), token: ct))
            {
                var moved = happened.Data as ModelAliasMoved;
                if (moved?.Alias != query.Alias && happened.Data is not ModelDeleted && (happened.Data as ModelAliasRemoved)?.Alias != query.Alias) continue;
                if (happened.Timestamp > at) return held is null ? None(query, at) : held with { Until = happened.Timestamp };
                held = moved is null ? null : new(query.Model, query.Alias, moved.Version, happened.Timestamp, happened.UserName ?? "system", moved.ApprovalId, null);
            }

            return held is null ? None(query, at) : held;
        }

        private static Refusal None(Query query, DateTimeOffset at) =>
            new(RefusalKind.NotFound, "no-such-alias", $"'{query.Alias}' of '{query.Model}' meant no version at {at.UtcDateTime:O}.", "alias", "Ask for another moment, or list the model's aliases.");
    }
}
