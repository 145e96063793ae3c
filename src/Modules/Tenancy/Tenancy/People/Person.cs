namespace Platform.Tenancy.People;

/// <summary>A person's account. A plain document and not a stream, because what identifies a person must be erasable; the events of a tenant
/// name people by id only. It lives in the platform's tenant: one person may belong to several tenants.</summary>
internal sealed class Person
{
    public required string Id { get; init; }

    /// <summary>Lower case; unique over the platform.</summary>
    public required string Email { get; init; }

    public required string Name { get; set; }

    /// <summary>ASP.NET Core Identity's PBKDF2 format; null when the person signs in through OpenID Connect alone.</summary>
    public string? PasswordHash { get; set; }

    /// <summary>Role by tenant.</summary>
    public Dictionary<string, string> Roles { get; init; } = [];

    /// <summary>Changes with the password; a sign-in from before is then no longer good.</summary>
    public string Stamp { get; set; } = Guid.NewGuid().ToString("N");
}

internal sealed record MemberAdded(string PersonId, string Role);

internal sealed record MemberRemoved(string PersonId);

/// <summary>A tenant's members, for its own audit trail: who belongs to it, in which role, since when.</summary>
internal sealed record Members(string Id, IReadOnlyDictionary<string, string> Roles)
{
    public const string Key = "members";

    public static Members Create(MemberAdded added) => new(Key, new Dictionary<string, string> { [added.PersonId] = added.Role });

    public Members Apply(MemberAdded added) => this with { Roles = new Dictionary<string, string>(Roles) { [added.PersonId] = added.Role } };

    public Members Apply(MemberRemoved removed) => this with { Roles = Roles.Where(r => r.Key != removed.PersonId).ToDictionary() };
}

/// <summary>A member as the API and the pages show it.</summary>
internal sealed record MemberView(string PersonId, string Email, string Name, string Role);
