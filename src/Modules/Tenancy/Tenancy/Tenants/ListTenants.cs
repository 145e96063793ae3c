using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Tenancy.Tenants;

/// <summary>Every tenant of the platform, by id. Only the platform's own administrators see the directory.</summary>
internal static class ListTenants
{
    [Needs(Permissions.ManageTenants)]
    internal sealed record Query : IRequest<Result<IReadOnlyList<TenantView>>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("tenants", Get).WithName(nameof(ListTenants)).Needs(Permissions.ManageTenants).WithSummary("List tenants");

    private static Task<Results<Ok<IReadOnlyList<TenantView>>, ProblemHttpResult>> Get(IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Query(), ct).ToOk();

    internal sealed class Handler(IQuerySession session) : IRequestHandler<Query, Result<IReadOnlyList<TenantView>>>
    {
        public async Task<Result<IReadOnlyList<TenantView>>> Handle(Query query, CancellationToken ct) =>
            Result<IReadOnlyList<TenantView>>.Ok([.. (await session.Query<Tenant>().OrderBy(t => t.Id).ToListAsync(ct)).Select(TenantView.Of)]);
    }
}
