using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Mlflow;
using Platform.Registry.Tracking;

namespace Platform.Registry.Runs;

/// <summary>What a run has logged as files, one folder at a time.</summary>
internal static class ListRunArtifacts
{
    /// <param name="Path">A folder of the run; its root when it is left out.</param>
    [Needs(Permissions.ReadRuns)]
    internal sealed record Query(string Run, string? Path = null) : IRequest<Result<IReadOnlyList<Entry>>>;

    /// <param name="Path">Within the run.</param>
    /// <param name="Bytes">Null for a folder.</param>
    internal sealed record Entry(string Path, string Name, long? Bytes);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("runs/{run}/artifacts", Get).WithName(nameof(ListRunArtifacts)).Needs(Permissions.ReadRuns).WithSummary("List a run's artifacts").ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<IReadOnlyList<Entry>>, ProblemHttpResult>> Get(string run, IMediator mediator, CancellationToken ct, string? path = null) =>
        mediator.Send(new Query(run, path), ct).ToOk();

    /// <summary>The run, and where its path is in the tenant's artifacts.</summary>
    internal static async Task<Result<(RunInfo Run, string Path)>> PlaceAsync(RunStore runs, string tenant, string run, string? path, CancellationToken ct)
    {
        if (!Guid.TryParse(run, out var id) || await runs.FindAsync(tenant, id, ct) is not { } found) return Refusal.NotFound("run", run);
        if (ArtifactRoutes.FolderOf(found.Info.ArtifactUri) is not { } root)
        {
            return new Refusal(RefusalKind.NotFound, "artifacts-elsewhere", $"The run's artifacts are not here but at {found.Info.ArtifactUri}.", "run", "Read them with a client of MLflow.");
        }

        if (string.IsNullOrEmpty(path)) return (found.Info, root);
        return Artifacts.IsSound(path) ? (found.Info, $"{root}/{path}") : Refusal.Invalid("bad-path", "This is no path of an artifact.", "path", "Take one from the list of the run's artifacts.");
    }

    internal sealed class Handler(RunStore runs, Artifacts artifacts, CallerScope scope) : IRequestHandler<Query, Result<IReadOnlyList<Entry>>>
    {
        public async Task<Result<IReadOnlyList<Entry>>> Handle(Query query, CancellationToken ct)
        {
            var path = query.Path?.TrimEnd('/') ?? "";
            var place = await PlaceAsync(runs, scope.Current.Tenant, query.Run, path, ct);
            if (place.Refusal is { } refusal) return refusal;
            var found = await artifacts.ListAsync(scope.Current.Tenant, place.Value.Path, ct);
            return Result<IReadOnlyList<Entry>>.Ok([.. found.Select(f => new Entry(path.Length == 0 ? f.Name : $"{path}/{f.Name}", f.Name, f.Bytes))]);
        }
    }
}
