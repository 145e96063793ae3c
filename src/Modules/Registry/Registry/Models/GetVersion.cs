using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Models;

/// <summary>A version with its signature, columns, interval table, metrics and where it came from.</summary>
internal static class GetVersion
{
    [Needs(Permissions.Read)]
    internal sealed record Query(string Model, int Version) : IRequest<Result<VersionView>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("models/{model}/versions/{version:int}", Get).WithName(nameof(GetVersion)).Needs(Permissions.Read).WithSummary("Get a model version")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<VersionView>, ProblemHttpResult>> Get(string model, int version, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Query(model, version), ct).ToOk();

    internal sealed class Handler(IQuerySession session) : IRequestHandler<Query, Result<VersionView>>
    {
        public async Task<Result<VersionView>> Handle(Query query, CancellationToken ct)
        {
            if (await session.FindModelAsync(query.Model, ct) is not { } model) return Refusal.NotFound("model", query.Model);
            return await session.LoadAsync<ModelVersion>(ModelVersion.Key(query.Model, query.Version), ct) is { } version
                ? VersionView.Of(version, model)
                : Refusal.NotFound("model version", $"{query.Model}/{query.Version}");
        }
    }
}
