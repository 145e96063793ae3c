using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Retention;

/// <summary>Sets how long what was deleted is kept.</summary>
internal static class SetRetention
{
    private const int LongestDays = 36_500, LeastGrace = 1, LongestGrace = 24 * 365;

    /// <param name="PurgeAfterDays">Null keeps what is deleted for ever.</param>
    /// <param name="GraceHours">At least one, because uploads take their time.</param>
    internal sealed record Body(int? PurgeAfterDays, int GraceHours = 24);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPut("retention", Put).WithName(nameof(SetRetention)).Needs(Permissions.Manage).WithSummary("Set how long what is deleted is kept");

    private static Task<Results<Ok<GetRetention.View>, ProblemHttpResult>> Put(Body body, RetentionStore retention, CallerScope scope, CancellationToken ct) => SetAsync(body, retention, scope.Current.Tenant, ct).ToOk();

    private static async Task<Result<GetRetention.View>> SetAsync(Body body, RetentionStore retention, string tenant, CancellationToken ct)
    {
        if (body.PurgeAfterDays is < 0 or > LongestDays) return Refusal.Invalid("out-of-range", $"'purgeAfterDays' is {body.PurgeAfterDays}.", "purgeAfterDays", $"Use 0 to {LongestDays}, or null to purge nothing.");
        if (body.GraceHours is < LeastGrace or > LongestGrace) return Refusal.Invalid("out-of-range", $"'graceHours' is {body.GraceHours}.", "graceHours", $"Use {LeastGrace} to {LongestGrace}.");
        await retention.SetRulesAsync(tenant, new(body.PurgeAfterDays, body.GraceHours), ct);
        return await GetRetention.ViewAsync(retention, tenant, ct);
    }
}
