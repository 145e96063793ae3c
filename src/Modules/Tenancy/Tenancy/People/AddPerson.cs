using System.Buffers.Text;
using System.Security.Cryptography;
using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Identity;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Kernel.Store;
using Platform.Tenancy.Tenants;

namespace Platform.Tenancy.People;

/// <summary>Makes a person a member of a tenant, with an account to sign in to the pages when they have none yet.</summary>
internal static class AddPerson
{
    /// <param name="Role">tenant-admin, developer or viewer; platform-admin in the platform's own tenant.</param>
    /// <param name="Password">At least 12 characters; leave out to have one made and shown once. Ignored for someone who has an account.</param>
    internal sealed record Body(string Email, string Name, string Role, string? Password = null);

    [Needs(Permissions.Write)]
    internal sealed record Command(string Tenant, string Email, string Name, string Role, string? Password) : IRequest<Result<Response>>;

    /// <param name="Password">The password made for a new account, shown this once; null when one was given or the account existed.</param>
    internal sealed record Response(string PersonId, string Email, string Role, string? Password);

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Email).NotEmpty().EmailAddress().MaximumLength(254);
            RuleFor(c => c.Name).NotEmpty().MaximumLength(200);
            RuleFor(c => c.Role).Must((c, role) => Roles.FitsTenant(role, c.Tenant)).WithMessage("'{PropertyValue}' is not a role here.");
            RuleFor(c => c.Password).MinimumLength(12).MaximumLength(200);
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("tenants/{tenant}/people", Post).WithName(nameof(AddPerson)).Needs(Permissions.Write).WithSummary("Add a person to a tenant")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Created<Response>, ProblemHttpResult>> Post(string tenant, Body body, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(tenant, body.Email, body.Name, body.Role, body.Password), ct)
            .ToCreated(person => $"/api/v1/tenancy/tenants/{tenant}/people/{person.PersonId}");

    internal sealed class Handler(TenantSessions sessions, CallerScope scope, IPasswordHasher<Person> hasher) : IRequestHandler<Command, Result<Response>>
    {
        public async Task<Result<Response>> Handle(Command command, CancellationToken ct)
        {
            if (!TenantReach.May(scope.Current, command.Tenant)) return Refusal.NotFound("tenant", command.Tenant);
            await using var directory = sessions.For(Caller.PlatformTenant);
            if (command.Tenant != Caller.PlatformTenant && await directory.LoadAsync<Tenant>(Tenant.Key(command.Tenant), ct) is null)
            {
                return Refusal.NotFound("tenant", command.Tenant);
            }

            var email = command.Email.ToLowerInvariant();
            var person = await directory.Query<Person>().SingleOrDefaultAsync(p => p.Email == email, ct);
            string? made = null;
            if (person is null)
            {
                person = new Person { Id = Guid.NewGuid().ToString("N"), Email = email, Name = command.Name };
                made = command.Password is null ? Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(15)) : null;
                person.PasswordHash = hasher.HashPassword(person, command.Password ?? made!);
            }

            person.Roles[command.Tenant] = command.Role;
            directory.Store(person);
            directory.Raise(new Signal(TenancySignals.Person, Caller.PlatformTenant, person.Id));
            await directory.SaveChangesAsync(ct);

            // The account first: a crash between the two leaves a member without a line in the audit trail's members view, and adding them again mends it.
            await using var session = sessions.For(command.Tenant);
            var members = await session.Events.FetchForWriting<Members>(Members.Key, ct);
            members.AppendOne(new MemberAdded(person.Id, command.Role));
            await session.SaveChangesAsync(ct);
            return new Response(person.Id, email, command.Role, made);
        }
    }
}
