using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Kernel.Store;

namespace Platform.Tenancy.Tenants;

/// <summary>One tenant: any for the platform's administrators, and for everyone else their own; another tenant's id looks unknown.</summary>
internal static class GetTenant
{
    [Needs(Permissions.Read)]
    internal sealed record Query(string Tenant) : IRequest<Result<TenantView>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("tenants/{tenant}", Get).WithName(nameof(GetTenant)).Needs(Permissions.Read).WithSummary("Get a tenant")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<TenantView>, ProblemHttpResult>> Get(string tenant, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Query(tenant), ct).ToOk();

    internal sealed class Handler(TenantSessions sessions, CallerScope scope) : IRequestHandler<Query, Result<TenantView>>
    {
        public async Task<Result<TenantView>> Handle(Query query, CancellationToken ct)
        {
            if (!TenantReach.May(scope.Current, query.Tenant)) return Refusal.NotFound("tenant", query.Tenant);
            await using var session = sessions.For(Caller.PlatformTenant);
            return await session.LoadAsync<Tenant>(Tenant.Key(query.Tenant), ct) is { } tenant
                ? TenantView.Of(tenant)
                : Refusal.NotFound("tenant", query.Tenant);
        }
    }
}
