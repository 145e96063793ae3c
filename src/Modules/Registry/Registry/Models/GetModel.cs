using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Models;

/// <summary>A model with its latest 100 versions, newest first, and who holds which alias.</summary>
internal static class GetModel
{
    private const int Limit = 100;

    [Needs(Permissions.Read)]
    internal sealed record Query(string Model) : IRequest<Result<Response>>;

    internal sealed record Response(ModelView Model, IReadOnlyList<VersionSummary> Versions) : IHasRevision
    {
        long IHasRevision.Revision => Model.Revision;
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("models/{model}", Get).WithName(nameof(GetModel)).Needs(Permissions.Read).WithSummary("Get a model and its versions")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<Response>, ProblemHttpResult>> Get(string model, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Query(model), ct).ToOk();

    internal sealed class Handler(IQuerySession session) : IRequestHandler<Query, Result<Response>>
    {
        public async Task<Result<Response>> Handle(Query query, CancellationToken ct)
        {
            if (await session.FindModelAsync(query.Model, ct) is not { } model) return Refusal.NotFound("model", query.Model);
            string[] keys = [.. Enumerable.Range(0, Math.Min(Limit, model.LatestVersion)).Select(i => ModelVersion.Key(model.Name, model.LatestVersion - i))];
            var versions = await session.LoadManyAsync<ModelVersion>(ct, keys);
            return new Response(ModelView.Of(model), [.. versions.OrderByDescending(v => v.Facts.Version).Select(v => VersionSummary.Of(v, model))]);
        }
    }
}
