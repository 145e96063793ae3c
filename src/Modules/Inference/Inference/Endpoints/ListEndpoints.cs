using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Inference.Predict;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Inference.Endpoints;

/// <summary>The tenant's endpoints by name, with what each serves now.</summary>
internal static class ListEndpoints
{
    [Needs(Permissions.Read)]
    internal sealed record Query : IRequest<Result<IReadOnlyList<EndpointView>>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("endpoints", Get).WithName(nameof(ListEndpoints)).Needs(Permissions.Read).WithSummary("List endpoints");

    private static Task<Results<Ok<IReadOnlyList<EndpointView>>, ProblemHttpResult>> Get(IMediator mediator, CancellationToken ct) => mediator.Send(new Query(), ct).ToOk();

    internal sealed class Handler(IQuerySession session, ServingTable table, CallerScope scope) : IRequestHandler<Query, Result<IReadOnlyList<EndpointView>>>
    {
        public async Task<Result<IReadOnlyList<EndpointView>>> Handle(Query query, CancellationToken ct)
        {
            var endpoints = await session.Query<Endpoint>().Where(endpoint => !endpoint.Retired).OrderBy(endpoint => endpoint.Name).ToListAsync(ct);
            return Result<IReadOnlyList<EndpointView>>.Ok([.. endpoints.Select(endpoint => EndpointView.Of(scope.Current.Tenant, endpoint, table))]);
        }
    }
}
