using Microsoft.AspNetCore.Authentication.OpenIdConnect;
using Microsoft.AspNetCore.DataProtection;

namespace Platform.Host.Security;

/// <summary>How people sign in to the pages: a cookie always, OpenID Connect when configured (PLATFORM_OIDC_AUTHORITY, _CLIENT_ID, _CLIENT_SECRET).</summary>
internal static class SignInSetup
{
    public const string Scheme = "platform";

    public static void AddSignIn(this IServiceCollection services, IConfiguration configuration, PlatformSettings settings)
    {
        services.AddDataProtection().PersistKeysToFileSystem(new DirectoryInfo(Path.Combine(settings.Data, "secrets", "cookies"))).SetApplicationName("platform");
        var authentication = services.AddAuthentication(Scheme).AddCookie(Scheme, cookie =>
        {
            cookie.Cookie.Name = "platform";
            cookie.Cookie.HttpOnly = true;
            // Lax, because a provider's redirect back to us is a cross-site navigation; writes are checked by where they come from.
            cookie.Cookie.SameSite = SameSiteMode.Lax;
            cookie.LoginPath = "/signin";
            cookie.AccessDeniedPath = "/";
            cookie.ReturnUrlParameter = "returnUrl";
            cookie.ExpireTimeSpan = TimeSpan.FromHours(12);
            cookie.SlidingExpiration = true;
        });

        if (configuration["PLATFORM_OIDC_AUTHORITY"] is not { Length: > 0 } authority) return;
        authentication.AddOpenIdConnect("oidc", oidc =>
        {
            oidc.SignInScheme = Scheme;
            oidc.Authority = authority;
            oidc.ClientId = configuration["PLATFORM_OIDC_CLIENT_ID"];
            oidc.ClientSecret = configuration["PLATFORM_OIDC_CLIENT_SECRET"];
            oidc.ResponseType = "code";
            // By a redirect and not by a form of theirs: the cookies of the round trip may then be Lax, which browsers keep without TLS too.
            oidc.ResponseMode = "query";
            oidc.CorrelationCookie.SameSite = oidc.NonceCookie.SameSite = SameSiteMode.Lax;
            oidc.CorrelationCookie.SecurePolicy = oidc.NonceCookie.SecurePolicy = CookieSecurePolicy.SameAsRequest;
            oidc.Scope.Add("email");
            oidc.MapInboundClaims = false;
            oidc.RequireHttpsMetadata = !authority.StartsWith("http://127.0.0.1", StringComparison.Ordinal);
            oidc.Events = new OpenIdConnectEvents
            {
                OnTokenValidated = async context =>
                {
                    var email = context.Principal?.FindFirst("email_verified")?.Value == "true" ? context.Principal.FindFirst("email")?.Value : null;
                    var people = context.HttpContext.RequestServices.GetRequiredService<Kernel.Pages.IPeople>();
                    if (email is not null && await people.PrincipalOfAsync(email, context.HttpContext.RequestAborted) is { } principal) context.Principal = principal;
                    else context.Fail("Nobody here has this verified e-mail address. A tenant administrator can add you.");
                },
                OnRemoteFailure = context =>
                {
                    context.Response.Redirect("/signin?failed=true");
                    context.HandleResponse();
                    return Task.CompletedTask;
                },
            };
        });
    }
}
