using Marten;
using MediatR;
using Platform.Inference.Endpoints;
using Platform.Registry.Contracts;

namespace Platform.Inference.Integration;

/// <summary>The endpoints in use, so that nothing they need is deleted and what they serve can be followed.</summary>
internal sealed class AnswerFindEndpointsOf(IQuerySession session) : IRequestHandler<FindEndpointsOf, IReadOnlyList<ServingEndpoint>>
{
    public async Task<IReadOnlyList<ServingEndpoint>> Handle(FindEndpointsOf ask, CancellationToken ct)
    {
        var endpoints = await session.Query<Endpoint>().Where(endpoint => ask.Model == null || endpoint.Model == ask.Model).ToListAsync(ct);
        return [.. endpoints.Where(endpoint => !endpoint.Retired).Select(endpoint => new ServingEndpoint(endpoint.Name, endpoint.Model, endpoint.AliasOrVersion, endpoint.FeatureView))];
    }
}
