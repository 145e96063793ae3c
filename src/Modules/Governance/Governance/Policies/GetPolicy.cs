using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Governance.Policies;

/// <summary>The tenant's rules as they are now.</summary>
internal static class GetPolicy
{
    [Needs(Permissions.Read)]
    internal sealed record Query : IRequest<Result<PolicyView>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("policy", Get).WithName(nameof(GetPolicy)).Needs(Permissions.Read).WithSummary("Get the policy");

    private static Task<Results<Ok<PolicyView>, ProblemHttpResult>> Get(IMediator mediator, CancellationToken ct) => mediator.Send(new Query(), ct).ToOk();

    internal sealed class Handler(IQuerySession session) : IRequestHandler<Query, Result<PolicyView>>
    {
        public async Task<Result<PolicyView>> Handle(Query query, CancellationToken ct) =>
            PolicyView.Of(await session.LoadAsync<Policy>(Policy.Key, ct) ?? Policy.Default);
    }
}
