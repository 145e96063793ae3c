using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Models;
using Platform.Registry.Tracking;

namespace Platform.Registry.Runs;

/// <summary>The versions of models that were registered from a run's files, or that the training it is the log of has made.</summary>
internal static class ListRunVersions
{
    [Needs(Permissions.Read)]
    internal sealed record Query(string Run) : IRequest<Result<IReadOnlyList<RegisteredFromRun>>>;

    internal sealed record RegisteredFromRun(string Model, int Version, DateTimeOffset AddedAt);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("runs/{run}/versions", Get).WithName(nameof(ListRunVersions)).Needs(Permissions.Read).WithSummary("List the model versions registered from a run").ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<IReadOnlyList<RegisteredFromRun>>, ProblemHttpResult>> Get(string run, IMediator mediator, CancellationToken ct) => mediator.Send(new Query(run), ct).ToOk();

    internal sealed class Handler(IQuerySession session, RunStore runs, CallerScope scope) : IRequestHandler<Query, Result<IReadOnlyList<RegisteredFromRun>>>
    {
        public async Task<Result<IReadOnlyList<RegisteredFromRun>>> Handle(Query query, CancellationToken ct)
        {
            if (!Guid.TryParse(query.Run, out var id) || await runs.FindAsync(scope.Current.Tenant, id, ct) is null) return Refusal.NotFound("run", query.Run);
            var made = await session.MadeByRunAsync(id, ct);
            return Result<IReadOnlyList<RegisteredFromRun>>.Ok([.. made.OrderBy(v => v.Model, StringComparer.Ordinal).ThenBy(v => v.Facts.Version).Select(v => new RegisteredFromRun(v.Model, v.Facts.Version, v.AddedAt))]);
        }
    }
}
