using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Tenancy.Encryption;

namespace Platform.Tenancy.Tenants;

/// <summary>Opens a tenant: from here its data has a place of its own, a data key of its own, and keys and people can be added.</summary>
internal static class CreateTenant
{
    /// <param name="Id">The tenant's slug; it is part of its API keys and cannot change.</param>
    /// <param name="Name">What people call it.</param>
    [Needs(Permissions.ManageTenants)]
    internal sealed record Command(string Id, string Name) : IRequest<Result<TenantView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Id).IsName().NotEqual(Caller.PlatformTenant).WithMessage("'platform' is the platform's own tenant; choose another id.");
            RuleFor(c => c.Name).NotEmpty().MaximumLength(200);
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("tenants", Post).WithName(nameof(CreateTenant)).Needs(Permissions.ManageTenants)
            .WithSummary("Create a tenant")
            .ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Created<TenantView>, ProblemHttpResult>> Post(Command command, IMediator mediator, CancellationToken ct) =>
        mediator.Send(command, ct).ToCreated(tenant => $"/api/v1/tenancy/tenants/{tenant.Id}");

    internal sealed class Handler(IDocumentSession session, TenantKeys keys) : IRequestHandler<Command, Result<TenantView>>
    {
        public async Task<Result<TenantView>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForWriting<Tenant>(Tenant.Key(command.Id), ct);
            if (stream.Aggregate is not null)
            {
                return Refusal.Conflict("tenant-exists", $"There is a tenant '{command.Id}' already.", "id", "Choose another id, or use the tenant that is there.");
            }

            stream.AppendOne(new TenantCreated(command.Name));
            session.Store(keys.NewKey(command.Id));
            await session.SaveChangesAsync(ct);
            return TenantView.Of((await session.LoadAsync<Tenant>(Tenant.Key(command.Id), ct))!);
        }
    }
}
