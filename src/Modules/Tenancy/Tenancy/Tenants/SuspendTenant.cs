using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Tenancy.Tenants;

/// <summary>Stops a tenant at once: its keys, its people and its endpoints are refused until it is resumed. Nothing is deleted.</summary>
internal static class SuspendTenant
{
    internal sealed record Body(string Reason);

    [Needs(Permissions.ManageTenants)]
    internal sealed record Command(string Tenant, string Reason) : IRequest<Result<TenantView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules() => RuleFor(c => c.Reason).NotEmpty().MaximumLength(500);
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("tenants/{tenant}/suspend", Post).WithName(nameof(SuspendTenant)).Needs(Permissions.ManageTenants).WithSummary("Suspend a tenant")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Ok<TenantView>, ProblemHttpResult>> Post(string tenant, Body body, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(tenant, body.Reason), ct).ToOk();

    internal static Result<TenantSuspended> Decide(Tenant tenant, string reason) =>
        tenant.Suspended ? Refusal.Conflict("already-suspended", $"'{Tenant.Slug(tenant.Id)}' is suspended already.") : new TenantSuspended(reason);

    internal sealed class Handler(IDocumentSession session) : IRequestHandler<Command, Result<TenantView>>
    {
        public async Task<Result<TenantView>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForWriting<Tenant>(Tenant.Key(command.Tenant), ct);
            if (stream.Aggregate is not { } tenant) return Refusal.NotFound("tenant", command.Tenant);
            var decided = Decide(tenant, command.Reason);
            if (decided.Refusal is { } refusal) return refusal;
            stream.AppendOne(decided.Value);
            session.Raise(new Signal(TenancySignals.Tenant, command.Tenant, command.Tenant));
            await session.SaveChangesAsync(ct);
            return TenantView.Of(tenant.Apply(decided.Value));
        }
    }
}
