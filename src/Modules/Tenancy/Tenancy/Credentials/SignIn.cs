using System.Collections.Concurrent;
using System.Security.Claims;
using Marten;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Identity;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Pages;
using Platform.Tenancy.People;

namespace Platform.Tenancy.Credentials;

/// <summary>Signs a person in to the pages, with an e-mail address and password or with an API key, and out again. The cookie is same-site strict.</summary>
internal static class SignIn
{
    internal static void Map(IEndpointRouteBuilder root)
    {
        root.MapPost("/signin", PostAsync).WithName(nameof(SignIn)).IsOpen("It is how one gets a session.").ExcludeFromDescription();
        root.MapPost("/signout", async (HttpContext context) =>
        {
            await context.SignOutAsync(Principals.Scheme);
            return Results.Redirect("/signin");
        }).WithName("SignOut").IsOpen("Ending a session harms nobody; the form carries an antiforgery token.").ExcludeFromDescription();
    }

    private static async Task<IResult> PostAsync(
        HttpContext context, [FromForm] string? email, [FromForm] string? password, [FromForm] string? key, [FromForm] string? tenant, [FromForm] string? returnUrl,
        Accounts accounts, ICredentials credentials, IAntiforgery antiforgery, CancellationToken ct)
    {
        var principal = string.IsNullOrWhiteSpace(key)
            ? await accounts.PrincipalAsync(email ?? "", password ?? "", tenant, ct)
            : (await credentials.ResolveKeyAsync(key.Trim(), ct)) is { IsOk: true } caller ? Principals.Of(caller.Value) : null;
        var target = Target(returnUrl);
        if (principal is null) return Results.Redirect($"/signin?failed=true&returnUrl={Uri.EscapeDataString(target)}");
        await context.SignInAsync(Principals.Scheme, principal, new AuthenticationProperties { IsPersistent = true });
        return Results.Redirect(target);
    }

    /// <summary>Where to go afterwards: an address of ours, whatever was asked for.</summary>
    internal static string Target(string? returnUrl) => returnUrl is ['/', not ('/' or '\\'), ..] ? returnUrl : "/";
}

/// <summary>Checks an e-mail address and password, slowing down whoever guesses.</summary>
internal sealed class Accounts(IDocumentStore store, IPasswordHasher<Person> hasher, TimeProvider time) : IPeople
{
    private const int MaxFailures = 10;
    private static readonly TimeSpan LockedFor = TimeSpan.FromMinutes(15);
    private readonly ConcurrentDictionary<string, (int Failures, DateTimeOffset Last)> failures = new();

    /// <param name="tenant">Which of the person's tenants to sign in to; the first by name when empty.</param>
    public async Task<ClaimsPrincipal?> PrincipalAsync(string email, string password, string? tenant, CancellationToken ct)
    {
        email = email.Trim().ToLowerInvariant();
        if (failures.TryGetValue(email, out var past) && past.Failures >= MaxFailures && time.GetUtcNow() - past.Last < LockedFor) return null;
        await using var directory = store.QuerySession(Caller.PlatformTenant);
        var person = await directory.Query<Person>().SingleOrDefaultAsync(p => p.Email == email, ct);
        // The same work for an unknown address, so that the time taken does not tell who has an account.
        var hash = person?.PasswordHash ?? NobodysHash.Value;
        var verdict = hasher.VerifyHashedPassword(person ?? Nobody, hash, password);
        if (person?.PasswordHash is null || verdict is PasswordVerificationResult.Failed)
        {
            if (failures.Count > 100_000) failures.Clear();
            failures.AddOrUpdate(email, (1, time.GetUtcNow()), (_, f) => (f.Failures + 1, time.GetUtcNow()));
            return null;
        }

        failures.TryRemove(email, out _);
        return PrincipalOf(person, tenant);
    }

    /// <summary>For someone an OpenID Connect provider vouches for, by verified e-mail address; null when nobody added them.</summary>
    public async Task<ClaimsPrincipal?> PrincipalOfAsync(string verifiedEmail, CancellationToken ct)
    {
        var email = verifiedEmail.ToLowerInvariant();
        await using var directory = store.QuerySession(Caller.PlatformTenant);
        return await directory.Query<Person>().SingleOrDefaultAsync(p => p.Email == email, ct) is { } person ? PrincipalOf(person, null) : null;
    }

    private static ClaimsPrincipal? PrincipalOf(Person person, string? tenant)
    {
        var chosen = string.IsNullOrWhiteSpace(tenant) ? person.Roles.Keys.Order(StringComparer.Ordinal).FirstOrDefault() : tenant.Trim();
        return chosen is not null && person.Roles.ContainsKey(chosen) ? Principals.Of(person, chosen) : null;
    }

    private static readonly Person Nobody = new() { Id = "", Email = "", Name = "" };
    private static readonly Lazy<string> NobodysHash = new(() => new PasswordHasher<Person>().HashPassword(Nobody, Guid.NewGuid().ToString()));
}
