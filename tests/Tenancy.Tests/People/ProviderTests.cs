using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;
using Platform.Testing;

namespace Tenancy.Tests.People;

public sealed class ProviderTests
{
    [Fact]
    public async Task A_person_whom_the_configured_provider_vouches_for_is_signed_in_and_a_stranger_is_not()
    {
        await using var provider = await Provider.StartAsync();
        await using var app = await PlatformApp.StartOwnAsync(new Dictionary<string, string>
        {
            ["PLATFORM_OIDC_AUTHORITY"] = provider.Address,
            ["PLATFORM_OIDC_CLIENT_ID"] = Provider.Client,
            ["PLATFORM_OIDC_CLIENT_SECRET"] = "a secret",
        });
        var tenant = await TestTenant.NewAsync(app);
        const string email = "analyst@example.test";
        await (await tenant.Admin.PostAsJsonAsync($"api/v1/tenancy/tenants/{tenant.Id}/people", new { email, name = "An Analyst", role = "viewer" })).ShouldBeAsync(201);

        (await SignInAsync(app, provider, email, verified: true, tenant.Id)).ShouldBe(("/usage", 200));
        (await SignInAsync(app, provider, "stranger@example.test", verified: true, tenant.Id)).ShouldBe(("/signin", 401));
        (await SignInAsync(app, provider, email, verified: false, tenant.Id)).ShouldBe(("/signin", 401));

        using var anyone = app.ClientWith(null);
        (await anyone.GetStringAsync("signin")).ShouldContain("/signin/provider");
    }

    /// <summary>Where the round trip ended, and whether the session may read the tenant.</summary>
    private static async Task<(string Page, int Status)> SignInAsync(PlatformApp app, Provider provider, string email, bool verified, string tenant)
    {
        (provider.Email, provider.Verified) = (email, verified);
        using var browser = new HttpClient(new SocketsHttpHandler { CookieContainer = new CookieContainer() }) { BaseAddress = app.Address };
        using var ended = await browser.GetAsync("signin/provider?returnUrl=%2Fusage");
        using var read = await browser.GetAsync($"api/v1/tenancy/tenants/{tenant}");
        return (ended.RequestMessage!.RequestUri!.AbsolutePath, (int)read.StatusCode);
    }

    /// <summary>A small OpenID Connect provider (code flow) that vouches for whomever the test says.</summary>
    private sealed class Provider(WebApplication app, RSA key) : IAsyncDisposable
    {
        public const string Client = "the-platform";

        public string Address => app.Urls.Single();

        public string Email { get; set; } = "";

        public bool Verified { get; set; }

        public static async Task<Provider> StartAsync()
        {
            var builder = WebApplication.CreateSlimBuilder();
            builder.Logging.ClearProviders();
            builder.WebHost.UseUrls("http://127.0.0.1:0");
            var provider = new Provider(builder.Build(), RSA.Create(2048));
            provider.Map();
            await provider.App.StartAsync();
            return provider;
        }

        private WebApplication App => app;

        public async ValueTask DisposeAsync()
        {
            await app.DisposeAsync();
            key.Dispose();
        }

        private void Map()
        {
            var nonces = new ConcurrentDictionary<string, string>();
            var signing = new RsaSecurityKey(key) { KeyId = "one" };
            app.MapGet("/.well-known/openid-configuration", () => Results.Json(new Dictionary<string, object>
            {
                ["issuer"] = Address,
                ["authorization_endpoint"] = $"{Address}/authorize",
                ["token_endpoint"] = $"{Address}/token",
                ["jwks_uri"] = $"{Address}/keys",
            }));
            app.MapGet("/keys", () =>
            {
                var open = key.ExportParameters(false);
                return Results.Json(new { keys = new[] { new { kty = "RSA", use = "sig", kid = "one", alg = "RS256", n = Base64UrlEncoder.Encode(open.Modulus), e = Base64UrlEncoder.Encode(open.Exponent) } } });
            });
            app.MapGet("/authorize", (HttpRequest request) =>
            {
                var code = Guid.NewGuid().ToString("N");
                nonces[code] = request.Query["nonce"].ToString();
                return Results.Redirect($"{request.Query["redirect_uri"]}?code={code}&state={Uri.EscapeDataString(request.Query["state"].ToString())}");
            });
            app.MapPost("/token", async (HttpRequest request) =>
            {
                var form = await request.ReadFormAsync();
                var token = new JsonWebTokenHandler().CreateToken(new SecurityTokenDescriptor
                {
                    Issuer = Address,
                    Audience = Client,
                    Claims = new Dictionary<string, object> { ["sub"] = Email, ["email"] = Email, ["email_verified"] = Verified, ["nonce"] = nonces[form["code"].ToString()] },
                    SigningCredentials = new SigningCredentials(signing, SecurityAlgorithms.RsaSha256),
                });
                return Results.Json(new { access_token = "unused", token_type = "Bearer", id_token = token });
            });
        }
    }
}
