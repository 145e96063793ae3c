using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Billing.Plans;

/// <summary>The platform's plans with their current price, quota and limits.</summary>
internal static class ListPlans
{
    [Needs(Permissions.Read)]
    internal sealed record Query : IRequest<Result<IReadOnlyList<PlanView>>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("plans", Get).WithName(nameof(ListPlans)).Needs(Permissions.Read).WithSummary("List plans");

    private static Task<Results<Ok<IReadOnlyList<PlanView>>, ProblemHttpResult>> Get(IMediator mediator, CancellationToken ct) => mediator.Send(new Query(), ct).ToOk();

    internal sealed class Handler(PlanBook book) : IRequestHandler<Query, Result<IReadOnlyList<PlanView>>>
    {
        public async Task<Result<IReadOnlyList<PlanView>>> Handle(Query query, CancellationToken ct) =>
            Result<IReadOnlyList<PlanView>>.Ok([.. (await book.AllAsync(ct)).OrderBy(p => p.Id, StringComparer.Ordinal).Select(PlanView.Of)]);
    }
}
