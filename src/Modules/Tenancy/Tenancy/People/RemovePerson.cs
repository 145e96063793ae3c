using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Kernel.Store;
using Platform.Tenancy.Tenants;

namespace Platform.Tenancy.People;

/// <summary>Takes a person out of a tenant at once; a sign-in to it is no longer good. The account goes with its last membership.</summary>
internal static class RemovePerson
{
    [Needs(Permissions.Write)]
    internal sealed record Command(string Tenant, string PersonId) : IRequest<Result<Done>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapDelete("tenants/{tenant}/people/{personId}", Delete).WithName(nameof(RemovePerson)).Needs(Permissions.Write).WithSummary("Remove a person from a tenant")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<NoContent, ProblemHttpResult>> Delete(string tenant, string personId, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(tenant, personId), ct).ToNoContent();

    internal sealed class Handler(TenantSessions sessions, CallerScope scope) : IRequestHandler<Command, Result<Done>>
    {
        public async Task<Result<Done>> Handle(Command command, CancellationToken ct)
        {
            if (!TenantReach.May(scope.Current, command.Tenant)) return Refusal.NotFound("tenant", command.Tenant);
            await using var session = sessions.For(command.Tenant);
            var members = await session.Events.FetchForWriting<Members>(Members.Key, ct);
            if (members.Aggregate?.Roles.ContainsKey(command.PersonId) is not true) return Refusal.NotFound("person", command.PersonId);

            await using var directory = sessions.For(Caller.PlatformTenant);
            if (await directory.LoadAsync<Person>(command.PersonId, ct) is { } person)
            {
                person.Roles.Remove(command.Tenant);
                if (person.Roles.Count == 0) directory.Delete(person);
                else directory.Store(person);
                directory.Raise(new Signal(TenancySignals.Person, Caller.PlatformTenant, person.Id));
                await directory.SaveChangesAsync(ct);
            }

            members.AppendOne(new MemberRemoved(command.PersonId));
            await session.SaveChangesAsync(ct);
            return Done.Value;
        }
    }
}
