using Marten;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;

namespace Platform.Governance.Approvals;

/// <summary>One approval and how it was decided.</summary>
internal static class GetApproval
{
    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("approvals/{id:guid}", GetAsync).WithName(nameof(GetApproval)).Needs(Permissions.Read).WithSummary("Get an approval")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static async Task<Results<Ok<ApprovalView>, ProblemHttpResult>> GetAsync(Guid id, IQuerySession session, CancellationToken ct) =>
        await session.LoadAsync<Approval>(Approval.Key(id), ct) is { } approval
            ? TypedResults.Ok(ApprovalView.Of(approval))
            : Refusal.NotFound("approval", id.ToString()).ToProblem();
}
