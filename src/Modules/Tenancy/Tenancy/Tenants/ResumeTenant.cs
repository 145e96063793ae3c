using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Tenancy.Tenants;

/// <summary>Lets a suspended tenant work again, with everything as it was.</summary>
internal static class ResumeTenant
{
    [Needs(Permissions.ManageTenants)]
    internal sealed record Command(string Tenant) : IRequest<Result<TenantView>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("tenants/{tenant}/resume", Post).WithName(nameof(ResumeTenant)).Needs(Permissions.ManageTenants).WithSummary("Resume a tenant")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Ok<TenantView>, ProblemHttpResult>> Post(string tenant, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(tenant), ct).ToOk();

    internal static Result<TenantResumed> Decide(Tenant tenant) =>
        tenant.Suspended ? new TenantResumed() : Refusal.Conflict("not-suspended", $"'{Tenant.Slug(tenant.Id)}' is not suspended.");

    internal sealed class Handler(IDocumentSession session) : IRequestHandler<Command, Result<TenantView>>
    {
        public async Task<Result<TenantView>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForWriting<Tenant>(Tenant.Key(command.Tenant), ct);
            if (stream.Aggregate is not { } tenant) return Refusal.NotFound("tenant", command.Tenant);
            var decided = Decide(tenant);
            if (decided.Refusal is { } refusal) return refusal;
            stream.AppendOne(decided.Value);
            session.Raise(new Signal(TenancySignals.Tenant, command.Tenant, command.Tenant));
            await session.SaveChangesAsync(ct);
            return TenantView.Of(tenant.Apply(decided.Value));
        }
    }
}
