using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Kernel.Store;
using Platform.Tenancy.Tenants;

namespace Platform.Tenancy.ApiKeys;

/// <summary>A tenant's keys, newest first, revoked ones too; never a secret.</summary>
internal static class ListKeys
{
    [Needs(Permissions.Read)]
    internal sealed record Query(string Tenant) : IRequest<Result<IReadOnlyList<ApiKeyView>>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("tenants/{tenant}/keys", Get).WithName(nameof(ListKeys)).Needs(Permissions.Read).WithSummary("List a tenant's API keys")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<IReadOnlyList<ApiKeyView>>, ProblemHttpResult>> Get(string tenant, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Query(tenant), ct).ToOk();

    internal sealed class Handler(TenantSessions sessions, CallerScope scope) : IRequestHandler<Query, Result<IReadOnlyList<ApiKeyView>>>
    {
        public async Task<Result<IReadOnlyList<ApiKeyView>>> Handle(Query query, CancellationToken ct)
        {
            if (!TenantReach.May(scope.Current, query.Tenant)) return Refusal.NotFound("tenant", query.Tenant);
            await using var session = sessions.For(query.Tenant);
            var keys = await session.Query<ApiKey>().OrderByDescending(k => k.IssuedAt).ToListAsync(ct);
            return Result<IReadOnlyList<ApiKeyView>>.Ok([.. keys.Select(ApiKeyView.Of)]);
        }
    }
}
