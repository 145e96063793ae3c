using FluentValidation;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Kernel.Store;
using Platform.Tenancy.Tenants;

namespace Platform.Tenancy.ApiKeys;

/// <summary>Issues an API key for a tenant and shows it this once. Nobody hands out more than they may do themselves, except the platform's administrators to a tenant.</summary>
internal static class IssueKey
{
    /// <param name="Name">What the key is for.</param>
    /// <param name="Role">tenant-admin, developer or viewer.</param>
    /// <param name="Scopes">Permissions to narrow the role to; leave out for all of the role's.</param>
    /// <param name="ExpiresAt">When the key stops working; leave out for never.</param>
    internal sealed record Body(string Name, string Role, IReadOnlyList<string>? Scopes = null, DateTimeOffset? ExpiresAt = null);

    [Needs(Permissions.Write)]
    internal sealed record Command(string Tenant, string Name, string Role, IReadOnlyList<string> Scopes, DateTimeOffset? ExpiresAt) : IRequest<Result<Response>>;

    /// <param name="Key">The key itself, shown this once and kept nowhere.</param>
    internal sealed record Response(string KeyId, string Key, ApiKeyView Details);

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules(TimeProvider time)
        {
            RuleFor(c => c.Name).NotEmpty().MaximumLength(100);
            RuleFor(c => c.Role).Must((c, role) => Roles.FitsTenant(role, c.Tenant))
                .WithMessage(c => $"'{c.Role}' is not a role here: use {(c.Tenant == Caller.PlatformTenant ? Roles.PlatformAdmin : $"{Roles.TenantAdmin}, {Roles.Developer} or {Roles.Viewer}")}.");
            RuleForEach(c => c.Scopes).Must((c, scope) => !Roles.All.TryGetValue(c.Role, out var may) || may.Contains(scope))
                .WithMessage((c, scope) => $"The role {c.Role} does not have the permission '{scope}', so a key cannot be narrowed to it.");
            RuleFor(c => c.ExpiresAt).Must(at => at is null || at > time.GetUtcNow()).WithMessage("The expiry is in the past.");
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("tenants/{tenant}/keys", Post).WithName(nameof(IssueKey)).Needs(Permissions.Write).WithSummary("Issue an API key")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Created<Response>, ProblemHttpResult>> Post(string tenant, Body body, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(tenant, body.Name, body.Role, body.Scopes ?? [], body.ExpiresAt), ct)
            .ToCreated(issued => $"/api/v1/tenancy/tenants/{tenant}/keys/{issued.KeyId}");

    internal sealed class Handler(TenantSessions sessions, CallerScope scope) : IRequestHandler<Command, Result<Response>>
    {
        public async Task<Result<Response>> Handle(Command command, CancellationToken ct)
        {
            var caller = scope.Current;
            if (!TenantReach.May(caller, command.Tenant)) return Refusal.NotFound("tenant", command.Tenant);
            var granted = Roles.Permissions(command.Role, command.Scopes);
            if (caller.Tenant == command.Tenant && !caller.IsSystem && granted.FirstOrDefault(p => !caller.May(p)) is { } beyond)
            {
                return Refusal.Forbidden("beyond-own-permissions", $"The key would have '{beyond}', which you do not have yourself.", "Choose a smaller role, or name scopes.");
            }

            await using (var directory = sessions.For(Caller.PlatformTenant))
            {
                if (command.Tenant != Caller.PlatformTenant && await directory.LoadAsync<Tenant>(Tenant.Key(command.Tenant), ct) is null)
                {
                    return Refusal.NotFound("tenant", command.Tenant);
                }
            }

            var (keyId, shown, sha256) = ApiKey.Make(command.Tenant);
            await using var session = sessions.For(command.Tenant);
            session.Events.StartStream<ApiKey>(ApiKey.Stream(keyId), new ApiKeyIssued(command.Name, command.Role, command.Scopes, sha256, command.ExpiresAt));
            await session.SaveChangesAsync(ct);
            var key = (await session.LoadAsync<ApiKey>(ApiKey.Stream(keyId), ct))!;
            return new Response(keyId, shown, ApiKeyView.Of(key));
        }
    }
}
