using Marten;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Models;
using Platform.Registry.Tracking;

namespace Platform.Registry.Retention;

/// <summary>Puts an experiment or a model under legal hold: an experiment's runs, files and models are not purged though they were deleted, a model and its versions not deleted at all.</summary>
internal static class SetHold
{
    private const int LongestReason = 1_000;

    internal sealed record Body(string Reason);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPut("retention/holds/{kind}/{name}", Put).WithName(nameof(SetHold)).Needs(Permissions.Manage).WithSummary("Put under legal hold")
            .WithDescription("`kind` is experiment, whose name is its number, or model.").ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<LegalHold>, ProblemHttpResult>> Put(
        string kind, string name, Body body, RetentionStore retention, ExperimentStore experiments, IQuerySession session, CallerScope scope, CancellationToken ct) =>
        HoldAsync(kind, name, body.Reason, retention, experiments, session, scope.Current, ct).ToOk();

    private static async Task<Result<LegalHold>> HoldAsync(
        string kind, string name, string reason, RetentionStore retention, ExperimentStore experiments, IQuerySession session, Caller by, CancellationToken ct)
    {
        if (string.IsNullOrWhiteSpace(reason) || reason.Length > LongestReason) return Refusal.Invalid("bad-reason", "A hold has a reason.", "reason", $"Say in 1 to {LongestReason} characters why it is held.");
        var there = kind switch
        {
            "experiment" => long.TryParse(name, out var id) && await experiments.FindAsync(by.Tenant, id, ct) is not null,
            "model" => await session.FindModelAsync(name, ct) is not null,
            _ => false,
        };
        if (!there) return Refusal.NotFound(kind is "model" ? "model" : "experiment", name);
        var hold = new LegalHold(kind, name, reason, by.Subject, retention.Now);
        await retention.HoldAsync(by.Tenant, hold, ct);
        return hold;
    }
}
