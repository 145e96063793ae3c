using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;

namespace Platform.Registry.Retention;

/// <summary>What is kept and for how long, what is held, and what the last looks did.</summary>
internal static class GetRetention
{
    /// <param name="LastRun">The newest of <paramref name="Runs"/>; null before the first.</param>
    internal sealed record View(int? PurgeAfterDays, int GraceHours, IReadOnlyList<LegalHold> Holds, RetentionReport? LastRun, IReadOnlyList<RetentionReport> Runs);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("retention", Get).WithName(nameof(GetRetention)).Needs(Permissions.Read).WithSummary("Get retention and what it did")
            .WithDescription("Deleted runs, logged models and experiments are purged after so many days, and content that nobody names is deleted a grace period later. It is looked at every night.");

    private static async Task<Ok<View>> Get(RetentionStore retention, CallerScope scope, CancellationToken ct) => TypedResults.Ok(await ViewAsync(retention, scope.Current.Tenant, ct));

    internal static async Task<View> ViewAsync(RetentionStore retention, string tenant, CancellationToken ct)
    {
        var (rules, runs) = (await retention.RulesAsync(tenant, ct), await retention.ReportsAsync(tenant, ct));
        return new(rules.PurgeAfterDays, rules.GraceHours, await retention.HoldsAsync(tenant, ct), runs.FirstOrDefault(), runs);
    }
}
