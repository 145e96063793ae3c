using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Governance.Approvals;

/// <summary>The latest 200 approvals, newest first, so that an approver sees what waits and an auditor what was decided.</summary>
internal static class ListApprovals
{
    private const int Limit = 200;

    [Needs(Permissions.Read)]
    internal sealed record Query(string? Model = null) : IRequest<Result<IReadOnlyList<ApprovalView>>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("approvals", Get).WithName(nameof(ListApprovals)).Needs(Permissions.Read).WithSummary("List approvals");

    private static Task<Results<Ok<IReadOnlyList<ApprovalView>>, ProblemHttpResult>> Get(string? model, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Query(model), ct).ToOk();

    internal sealed class Handler(IQuerySession session) : IRequestHandler<Query, Result<IReadOnlyList<ApprovalView>>>
    {
        public async Task<Result<IReadOnlyList<ApprovalView>>> Handle(Query query, CancellationToken ct)
        {
            IQueryable<Approval> approvals = session.Query<Approval>();
            if (query.Model is { } model) approvals = approvals.Where(a => a.Model == model);
            var latest = await approvals.OrderByDescending(a => a.RequestedAt).Take(Limit).ToListAsync(ct);
            return Result<IReadOnlyList<ApprovalView>>.Ok([.. latest.Select(ApprovalView.Of)]);
        }
    }
}
