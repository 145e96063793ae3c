using Marten;
using MediatR;
using Platform.Kernel;
using Platform.Tenancy.Contracts;
using Platform.Tenancy.Tenants;

namespace Platform.Tenancy.Integration;

/// <summary>Answers <see cref="ListAllTenants"/> to the platform's own upkeep; a caller's request that got here is a programming error and throws.</summary>
internal sealed class AnswerListAllTenants(IDocumentStore store, CallerScope scope) : IRequestHandler<ListAllTenants, IReadOnlyList<TenantSummary>>
{
    public async Task<IReadOnlyList<TenantSummary>> Handle(ListAllTenants request, CancellationToken ct)
    {
        if (scope.OrNone is { IsSystem: false }) throw new InvalidOperationException("Only the platform itself may ask for all tenants.");
        await using var directory = store.QuerySession(Caller.PlatformTenant);
        IReadOnlyList<Tenant> tenants = request.Only is { } only
            ? await directory.LoadAsync<Tenant>(Tenant.Key(only), ct) is { } one ? [one] : []
            : await directory.Query<Tenant>().OrderBy(t => t.Id).ToListAsync(ct);
        return [.. tenants.Select(t => new TenantSummary(Tenant.Slug(t.Id), t.Name, t.Suspended))];
    }
}
