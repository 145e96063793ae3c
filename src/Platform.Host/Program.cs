using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Platform.Billing;
using Platform.Features;
using Platform.Governance;
using Platform.Host;
using Platform.Host.Children;
using Platform.Host.Operations;
using Platform.Host.Store;
using Platform.Inference;
using Platform.Kernel;
using Platform.Registry;
using Platform.Tenancy;

IReadOnlyList<IModule> modules = [new TenancyModule(), new RegistryModule(), new FeaturesModule(), new InferenceModule(), new GovernanceModule(), new BillingModule()];

if (args is ["--child"]) return await ChildProgram.RunAsync(modules);

// The content root is the program's folder, so that pages' assets are found from whatever folder it is started.
var builder = WebApplication.CreateBuilder(new WebApplicationOptions { Args = args, ContentRootPath = AppContext.BaseDirectory });
try
{
    var settings = PlatformSettings.From(builder.Configuration);
    if (args is ["--health"]) return await Health.ProbeAsync(settings);

    // The OpenAPI document is made at build by running this program without a server and without a database.
    if (Assembly.GetEntryAssembly()?.GetName().Name == "GetDocument.Insider")
    {
        builder.AddPlatform(modules, settings, new MasterKey(new byte[32]), new SetupKey(new byte[32]), Database.Unconnected());
        builder.Services.RemoveAll<IHostedService>();
        var description = builder.Build();
        description.UsePlatform(modules);
        await description.RunAsync();
        return 0;
    }

    using var startLog = LoggerFactory.Create(logging => logging.AddSimpleConsole(console => console.SingleLine = true));
    var log = startLog.CreateLogger("Platform.Start");
    using var interrupted = new CancellationTokenSource();
    var masterKey = settings.MasterKey(builder.Configuration);
    var (adminKey, adminKeyIsNew) = settings.Secret(builder.Configuration, "PLATFORM_ADMIN_KEY", "admin-key", () => $"mlp_admin_{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32))}");

    await using var server = await DatabaseServer.StartAsync(settings, log, interrupted.Token);
    await using var database = await Database.OpenAsync(server.ConnectionString, masterKey, interrupted.Token);
    await SchemaSetup.ApplyAsync(database, modules, log, interrupted.Token);

    builder.AddPlatform(modules, settings, new MasterKey(masterKey), new SetupKey(SHA256.HashData(Encoding.UTF8.GetBytes(adminKey))), database);
    await using var app = builder.Build();
    app.UsePlatform(modules);
    await app.StartAsync();
    Announcement.Print(app, settings, server.Recovery, adminKeyIsNew ? adminKey : null, builder.Configuration["PLATFORM_ADMIN_KEY"] is { Length: > 0 });
    await app.WaitForShutdownAsync();
    return 0;
}
catch (IOException taken) when (taken.InnerException is Microsoft.AspNetCore.Connections.AddressInUseException)
{
    await Console.Error.WriteLineAsync($"The platform cannot start. {taken.Message} Stop what listens there, or name other addresses in PLATFORM_URL and PLATFORM_GRPC_URL.");
    return 1;
}
catch (StartupRefusedException refused)
{
    await Console.Error.WriteLineAsync($"The platform cannot start. {refused.Message}");
    return 1;
}
