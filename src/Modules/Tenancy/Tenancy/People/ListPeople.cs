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

namespace Platform.Tenancy.People;

/// <summary>A tenant's members by name.</summary>
internal static class ListPeople
{
    [Needs(Permissions.Read)]
    internal sealed record Query(string Tenant) : IRequest<Result<IReadOnlyList<MemberView>>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("tenants/{tenant}/people", Get).WithName(nameof(ListPeople)).Needs(Permissions.Read).WithSummary("List a tenant's people")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<IReadOnlyList<MemberView>>, ProblemHttpResult>> Get(string tenant, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Query(tenant), ct).ToOk();

    internal sealed class Handler(TenantSessions sessions, CallerScope scope) : IRequestHandler<Query, Result<IReadOnlyList<MemberView>>>
    {
        public async Task<Result<IReadOnlyList<MemberView>>> Handle(Query query, CancellationToken ct)
        {
            if (!TenantReach.May(scope.Current, query.Tenant)) return Refusal.NotFound("tenant", query.Tenant);
            await using var session = sessions.For(query.Tenant);
            var roles = (await session.LoadAsync<Members>(Members.Key, ct))?.Roles ?? new Dictionary<string, string>();
            await using var directory = sessions.For(Caller.PlatformTenant);
            var people = await directory.LoadManyAsync<Person>(ct, roles.Keys);
            return Result<IReadOnlyList<MemberView>>.Ok(
                [.. people.Select(p => new MemberView(p.Id, p.Email, p.Name, roles[p.Id])).OrderBy(p => p.Name, StringComparer.OrdinalIgnoreCase)]);
        }
    }
}
