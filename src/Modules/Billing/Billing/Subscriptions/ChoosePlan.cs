using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Billing.Contracts;
using Platform.Billing.Plans;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Kernel.Store;
using Platform.Tenancy.Contracts;

namespace Platform.Billing.Subscriptions;

/// <summary>Puts a tenant on a plan; the price and the quota hold from the next prediction on.</summary>
internal static class ChoosePlan
{
    internal sealed record Body(string Plan);

    [Needs(Permissions.ManagePlans)]
    internal sealed record Command(string Tenant, string Plan) : IRequest<Result<Entitlement>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPut("subscriptions/{tenant}", Put).WithName(nameof(ChoosePlan)).Needs(Permissions.ManagePlans).WithSummary("Put a tenant on a plan")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<Entitlement>, ProblemHttpResult>> Put(string tenant, Body body, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(tenant, body.Plan), ct).ToOk();

    internal sealed class Handler(TenantSessions sessions, PlanBook book, IMediator mediator) : IRequestHandler<Command, Result<Entitlement>>
    {
        public async Task<Result<Entitlement>> Handle(Command command, CancellationToken ct)
        {
            if (!await mediator.Send(new TenantExists(command.Tenant), ct)) return Refusal.NotFound("tenant", command.Tenant);
            if (await book.FindAsync(command.Plan, ct) is not { } plan) return Refusal.NotFound("plan", command.Plan);

            await using var session = sessions.For(command.Tenant);
            var stream = await session.Events.FetchForWriting<Subscription>(Subscription.Key, ct);
            if (stream.Aggregate?.Plan != command.Plan)
            {
                stream.AppendOne(new PlanChosen(command.Plan));
                await session.SaveChangesAsync(ct);
            }

            return Entitlements.Of(plan);
        }
    }
}
