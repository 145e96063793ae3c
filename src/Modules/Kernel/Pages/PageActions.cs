using MediatR;
using Microsoft.AspNetCore.Components.Authorization;
using Microsoft.Extensions.DependencyInjection;

namespace Platform.Kernel.Pages;

/// <summary>How a page acts: it sends the slices' own requests, each in a scope of its own whose caller is the person signed in.
/// A Blazor circuit lives for hours; a database session must not.</summary>
public sealed class PageActions(IServiceScopeFactory scopes, AuthenticationStateProvider authentication, IPrincipals principals)
{
    /// <summary>Who is signed in and what they may do; null when nobody is, or no longer.</summary>
    public async Task<Caller?> CallerAsync(CancellationToken ct = default) =>
        await principals.CallerOfAsync((await authentication.GetAuthenticationStateAsync()).User, ct);

    /// <summary>Sends a request as the person signed in. Permissions are enforced as on the API.</summary>
    public async Task<Result<T>> Send<T>(IRequest<Result<T>> request, CancellationToken ct = default)
    {
        if (await CallerAsync(ct) is not { } caller)
        {
            return new Refusal(RefusalKind.Unauthenticated, "signed-out", "You are no longer signed in.", null, "Sign in again.");
        }

        return await SendAs(caller, request, ct);
    }

    /// <summary>Asks another module's contract that answers without refusing; the default when nobody is signed in, or without <paramref name="permission"/>.</summary>
    public async Task<T?> Ask<T>(IRequest<T> request, string permission, CancellationToken ct = default) =>
        await CallerAsync(ct) is { } caller && caller.May(permission) ? await SendAs(caller, request, ct) : default;

    private async Task<T> SendAs<T>(Caller caller, IRequest<T> request, CancellationToken ct)
    {
        await using var scope = scopes.CreateAsyncScope();
        scope.ServiceProvider.GetRequiredService<CallerScope>().Begin(caller);
        return await scope.ServiceProvider.GetRequiredService<IMediator>().Send(request, ct);
    }
}

/// <summary>Turns a signed-in principal into a caller, looking again each time whether the account or key behind it is still good.</summary>
public interface IPrincipals
{
    /// <summary>Null when nobody is signed in, or the account, key or tenant behind the sign-in is no longer good.</summary>
    ValueTask<Caller?> CallerOfAsync(System.Security.Claims.ClaimsPrincipal principal, CancellationToken ct);
}

/// <summary>Finds the person an outside identity provider vouches for.</summary>
public interface IPeople
{
    /// <summary>The principal of the person with this verified e-mail address; null when nobody added them.</summary>
    Task<System.Security.Claims.ClaimsPrincipal?> PrincipalOfAsync(string verifiedEmail, CancellationToken ct);
}
