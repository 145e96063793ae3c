using Marten;
using MediatR;
using Platform.Billing.Contracts;
using Platform.Inference.Endpoints;
using Platform.Kernel;
using Platform.Kernel.Store;
using Platform.Registry.Contracts;
using Platform.Tenancy.Contracts;

namespace Platform.Inference.Integration;

/// <summary>What other modules tell that changes a plan. The telling reaches one replica; the signal it raises reaches all. Raising twice compiles twice to the same plan.</summary>
internal sealed class CompileAgain(TenantSessions sessions) :
    INotificationHandler<AliasMoved>, INotificationHandler<EntitlementChanged>, INotificationHandler<TenantSuspensionChanged>
{
    public async Task Handle(AliasMoved moved, CancellationToken cancellationToken)
    {
        await using var session = sessions.For(moved.Tenant);
        var following = await session.Query<Endpoint>()
            .Where(endpoint => endpoint.Model == moved.Model && endpoint.AliasOrVersion == moved.Alias && !endpoint.Retired)
            .Select(endpoint => endpoint.Name).ToListAsync(cancellationToken);
        foreach (var name in following) session.Raise(new Signal(InferenceSignals.Endpoint, moved.Tenant, name));
        await session.SaveChangesAsync(cancellationToken);
    }

    public Task Handle(EntitlementChanged changed, CancellationToken cancellationToken) => AllOfAsync(changed.Tenant, cancellationToken);

    public Task Handle(TenantSuspensionChanged changed, CancellationToken cancellationToken) => AllOfAsync(changed.Tenant, cancellationToken);

    private async Task AllOfAsync(string tenant, CancellationToken ct)
    {
        await using var session = sessions.For(tenant);
        session.Raise(new Signal(InferenceSignals.Tenant, tenant, "*"));
        await session.SaveChangesAsync(ct);
    }
}
