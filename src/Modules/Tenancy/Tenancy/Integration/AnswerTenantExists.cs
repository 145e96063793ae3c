using Marten;
using MediatR;
using Platform.Kernel;
using Platform.Tenancy.Contracts;
using Platform.Tenancy.Tenants;

namespace Platform.Tenancy.Integration;

/// <summary>Answers <see cref="TenantExists"/> from the directory.</summary>
internal sealed class AnswerTenantExists(IDocumentStore store) : IRequestHandler<TenantExists, bool>
{
    public async Task<bool> Handle(TenantExists ask, CancellationToken ct)
    {
        await using var directory = store.QuerySession(Caller.PlatformTenant);
        return await directory.LoadAsync<Tenant>(Tenant.Key(ask.Tenant), ct) is not null;
    }
}
