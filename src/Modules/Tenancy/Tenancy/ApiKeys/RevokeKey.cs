using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Kernel.Store;
using Platform.Tenancy.Credentials;
using Platform.Tenancy.Tenants;

namespace Platform.Tenancy.ApiKeys;

/// <summary>Revokes a key at once: by the time this answers, this replica refuses it, and the others a moment later. Revoking twice is fine.</summary>
internal static class RevokeKey
{
    [Needs(Permissions.Write)]
    internal sealed record Command(string Tenant, string KeyId) : IRequest<Result<Done>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapDelete("tenants/{tenant}/keys/{keyId}", Delete).WithName(nameof(RevokeKey)).Needs(Permissions.Write).WithSummary("Revoke an API key")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<NoContent, ProblemHttpResult>> Delete(string tenant, string keyId, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(tenant, keyId), ct).ToNoContent();

    internal sealed class Handler(TenantSessions sessions, CallerScope scope, KeyCache cache) : IRequestHandler<Command, Result<Done>>
    {
        public async Task<Result<Done>> Handle(Command command, CancellationToken ct)
        {
            if (!TenantReach.May(scope.Current, command.Tenant)) return Refusal.NotFound("tenant", command.Tenant);
            await using var session = sessions.For(command.Tenant);
            var stream = await session.Events.FetchForWriting<ApiKey>(ApiKey.Stream(command.KeyId), ct);
            if (stream.Aggregate is not { } key) return Refusal.NotFound("key", command.KeyId);
            if (key.RevokedAt is not null) return Done.Value;
            stream.AppendOne(new ApiKeyRevoked());
            session.Raise(new Signal(TenancySignals.Key, command.Tenant, command.KeyId));
            await session.SaveChangesAsync(ct);
            cache.ForgetKey(command.KeyId);
            return Done.Value;
        }
    }
}
