using Marten;
using Platform.Kernel;
using Platform.Kernel.Store;

namespace Platform.Billing.Plans;

/// <summary>The platform's plans as any tenant's request may read them: prices are no secret, and they live in the platform's own tenant.</summary>
internal sealed class PlanBook(TenantSessions sessions)
{
    public async Task<IReadOnlyList<Plan>> AllAsync(CancellationToken ct)
    {
        await using var session = sessions.For(Caller.PlatformTenant);
        var plans = await session.Query<Plan>().ToListAsync(ct);
        return plans.Any(p => p.Id == Plan.Default.Id) ? plans : [Plan.Default, .. plans];
    }

    public async Task<Plan?> FindAsync(string name, CancellationToken ct) =>
        (await AllAsync(ct)).FirstOrDefault(p => p.Id == Plan.Key(name));
}
