using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;

namespace Platform.Host;

/// <summary>What a person reads when the platform is ready: where it is and how to get in.</summary>
internal static class Announcement
{
    public static void Print(WebApplication app, PlatformSettings settings, string? recovery, string? newAdminKey, bool adminKeyGiven)
    {
        var address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()?.Addresses.FirstOrDefault() ?? settings.Url.ToString();
        address = address.TrimEnd('/');
        if (recovery is not null) Console.WriteLine($"\n  Recovered      {recovery}");
        Console.WriteLine($"""

              The platform is ready.

              Pages          {address}/
              API            {address}/api/v1
              API reference  {address}/docs
              gRPC           {settings.GrpcUrl.ToString().TrimEnd('/')}
              Sign in        {SignInHint(settings, newAdminKey, adminKeyGiven)}

              Stop with Ctrl-C.

            """);
    }

    private static string SignInHint(PlatformSettings settings, string? newAdminKey, bool adminKeyGiven) =>
        newAdminKey is not null ? $"with the platform administrator's key, shown this once:\n\n                   {newAdminKey}\n\n                 It is kept in {Path.Combine(settings.Data, "secrets", "admin-key")}"
        : adminKeyGiven ? "with the key in PLATFORM_ADMIN_KEY, or your account"
        : $"with the key in {Path.Combine(settings.Data, "secrets", "admin-key")}, or your account";
}
