using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;

namespace Platform.Tenancy.Credentials;

/// <summary>Sends a person to the OpenID Connect provider, when the operator has configured one; it sends them back to where they wanted to be.</summary>
internal static class SignInWithProvider
{
    public const string Path = "/signin/provider";

    internal static void Map(IEndpointRouteBuilder root) =>
        root.MapGet(Path, GetAsync).WithName(nameof(SignInWithProvider)).IsOpen("It is how one gets a session.").ExcludeFromDescription();

    private static async Task<IResult> GetAsync(string? returnUrl, IAuthenticationSchemeProvider schemes) =>
        await schemes.GetSchemeAsync(Principals.ProviderScheme) is null
            ? Results.Redirect("/signin")
            : Results.Challenge(new AuthenticationProperties { RedirectUri = SignIn.Target(returnUrl), IsPersistent = true }, [Principals.ProviderScheme]);
}
