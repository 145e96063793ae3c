using System.Net;
using System.Text.Json;
using System.Text.Json.Serialization;
using FluentValidation;
using Hangfire;
using Hangfire.AspNetCore;
using Hangfire.PostgreSql;
using Hangfire.States;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Platform.Host.Blobs;
using Platform.Host.Children;
using Platform.Host.Components;
using Platform.Host.Jobs;
using Platform.Host.Operations;
using Platform.Host.Requests;
using Platform.Host.Security;
using Platform.Host.Signals;
using Platform.Host.Store;
using Platform.Host.Writes;
using Platform.Kernel;
using Platform.Kernel.Pages;
using Platform.Kernel.Store;
using Radzen;
using Scalar.AspNetCore;

namespace Platform.Host;

/// <summary>Composition: what every module gets, and the order a request passes through.</summary>
internal static class PlatformHost
{
    public static void AddPlatform(this WebApplicationBuilder builder, IReadOnlyList<IModule> modules, PlatformSettings settings, MasterKey masterKey, SetupKey setupKey, Database database)
    {
        var services = builder.Services;
        builder.WebHost.UseStaticWebAssets();
        builder.WebHost.ConfigureKestrel(kestrel => Listen(kestrel, settings));
        AddLogs(builder);

        services.AddSingleton(modules).AddSingleton(settings).AddSingleton(masterKey).AddSingleton(setupKey).AddSingleton(TimeProvider.System);
        services.AddSingleton(database).AddSingleton(database.App);

        AddStore(services, modules, database);
        AddMediation(services, modules);
        AddJobs(services, database);
        AddApi(services);
        AddPages(services);
        services.AddSignIn(builder.Configuration, settings);
        services.AddHealth();
        builder.AddTelemetry();

        services.AddSingleton<PostgresSignals>().AddSingleton<ISignals>(sp => sp.GetRequiredService<PostgresSignals>()).AddHostedService(sp => sp.GetRequiredService<PostgresSignals>());
        services.AddHostedService<PublishingService>();
        var blobs = Path.Combine(settings.Data, "blobs");
        services.AddHostedService(_ => new AbandonedDrafts(blobs));
        services.AddSingleton(sp => new LocalBlobStore(blobs, sp.GetRequiredService<ITenantKeys>(), database.App, sp.GetRequiredService<TimeProvider>()));
        services.AddSingleton<IBlobStore>(sp => sp.GetRequiredService<LocalBlobStore>()).AddSingleton<IBlobParts>(sp => sp.GetRequiredService<LocalBlobStore>()).AddSingleton<IBlobCollection, BlobCollection>();
        services.AddSingleton<IChildProcesses, ChildProcesses>();
        foreach (var module in modules) module.AddServices(services, builder.Configuration);
    }

    public static void UsePlatform(this WebApplication app, IReadOnlyList<IModule> modules)
    {
        app.UseExceptionHandler();
        app.UseRouting();
        app.UseWhen(RequestSurroundings.AreNeeded, usual => usual.UseMiddleware<RequestSurroundings>().UseStatusCodePages());
        app.UseMiddleware<CallerMiddleware>();
        // A request that a key has let in needs no ticket and no scope: making them for every prediction was two fifths of what it allocated.
        app.UseWhen(context => !CallerMiddleware.IsLetInByKey(context), people => people.UseAuthentication().UseAuthorization().UseAntiforgery());
        // They would be put before everything else, for every request, if it were not said that they are there: the branch's own saying does not reach here.
        foreach (var part in (string[])["__AuthenticationMiddlewareSet", "__AuthorizationMiddlewareSet"]) ((IApplicationBuilder)app).Properties[part] = true;
        app.UseMiddleware<IdempotencyKey>();

        foreach (var module in modules)
        {
            module.MapApi(app.MapGroup($"/api/v1/{module.Name}").WithTags(module.Name).AddEndpointFilter(IfMatch.TagAsync), app.MapGroup("").WithTags(module.Name));
        }

        app.MapOpenApi("/openapi/{documentName}.json").IsOpen("The description of the API holds no tenant's data.");
        app.MapScalarApiReference("/docs", reference => reference
            .WithTitle("Platform API").WithOpenApiRoutePattern("/openapi/v1.json")
            .DisableDefaultFonts().DisableTelemetry().DisableAgent().DisableMcp().HideDeveloperTools().HideClientButton())
            .IsOpen("The description of the API holds no tenant's data.");
        app.MapHealth();
        app.MapPrometheusScrapingEndpoint("/metrics").WithName("Metrics").IsOpen("Scrapers carry no credential; series are not labelled by tenant.");
        app.MapHangfireDashboard("/jobs", new DashboardOptions { Authorization = [new JobsDashboardAccess()], DisplayStorageConnectionString = false }).WithMetadata(new NeedsAttribute("platform:operate"));
        app.MapStaticAssets().IsOpen("Style sheets, fonts and scripts.");
        app.MapRazorComponents<App>().AddInteractiveServerRenderMode().AddAdditionalAssemblies([.. modules.Select(m => m.Assembly).Where(a => a != typeof(App).Assembly)]);
    }

    private static void AddLogs(WebApplicationBuilder builder)
    {
        // What a person reads by default, one JSON object a line for a machine (PLATFORM_LOG=json). Payloads are in neither.
        if (builder.Configuration["PLATFORM_LOG"] == "json") builder.Logging.AddJsonConsole(console => console.IncludeScopes = true);
        else builder.Logging.AddSimpleConsole(console => (console.SingleLine, console.TimestampFormat) = (true, "HH:mm:ss "));
        // It would begin a trace and a scope for each request; RequestSurroundings does for those that need them.
        builder.Logging.AddFilter("Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.None);
        foreach (var noisy in (string[])["Microsoft.AspNetCore", "Hangfire", "Marten", "Npgsql", "Microsoft.Hosting.Lifetime", "Grpc", typeof(PublishingService).FullName!])
        {
            builder.Logging.AddFilter(noisy, LogLevel.Warning);
        }
    }

    private static void AddStore(IServiceCollection services, IReadOnlyList<IModule> modules, Database database)
    {
        services.AddSingleton<CurrentRequest>();
        services.AddScoped(sp =>
        {
            // A request's scope begins with the request's caller; scopes made inside it (a page's action, a job) begin with their own.
            var scope = new CallerScope();
            var context = sp.GetRequiredService<CurrentRequest>().Context;
            if (context?.Features.Get<Caller>() is { } caller && ReferenceEquals(context.RequestServices, sp)) scope.Begin(caller);
            return scope;
        });
        services.AddMarten(options => StoreSetup.Configure(options, database.App, modules)).BuildSessionsWith<TenantSessions>(ServiceLifetime.Scoped);
        services.AddScoped<TenantSessions>();
        services.AddSingleton<IDocumentSessionListener, IfMatch>().AddSingleton<IDocumentSessionListener, MarkIdempotentCall>();
    }

    private static void AddMediation(IServiceCollection services, IReadOnlyList<IModule> modules)
    {
        // By hand and not by the library's own registration, which would not see internal handlers.
        services.AddScoped<ServiceFactory>(sp => sp.GetService!);
        services.AddScoped<IMediator>(sp => new Mediator(sp.GetRequiredService<ServiceFactory>()));
        services.Scan(scan => scan.FromAssemblies(modules.Select(m => m.Assembly))
            .AddClasses(c => c.AssignableToAny(typeof(IRequestHandler<,>), typeof(INotificationHandler<>)), publicOnly: false)
            .AsImplementedInterfaces(i => i.IsGenericType && (i.GetGenericTypeDefinition() == typeof(IRequestHandler<,>) || i.GetGenericTypeDefinition() == typeof(INotificationHandler<>)))
            .WithTransientLifetime()
            .AddClasses(c => c.AssignableTo(typeof(IValidator<>)), publicOnly: false)
            .AsImplementedInterfaces(i => i.IsGenericType && i.GetGenericTypeDefinition() == typeof(IValidator<>))
            .WithSingletonLifetime());
        services.AddTransient(typeof(IPipelineBehavior<,>), typeof(PermissionBehaviour<,>));
        services.AddTransient(typeof(IPipelineBehavior<,>), typeof(ValidationBehaviour<,>));
    }

    private static void AddJobs(IServiceCollection services, Database database)
    {
        // The library keeps its storage, activator and log in statics; several hosts in one process (as in tests) must not share them.
        var options = new PostgreSqlStorageOptions
        {
            SchemaName = "jobs",
            PrepareSchemaIfNecessary = false,
            EnableLongPolling = true,
            QueuePollInterval = TimeSpan.FromSeconds(5),
            // A worker renews its hold while it lives, so a killed host's jobs are taken up a minute later, and a long one is never run twice.
            UseSlidingInvisibilityTimeout = true,
            InvisibilityTimeout = TimeSpan.FromMinutes(1),
        };
        services.AddSingleton<JobStorage>(_ => new PostgreSqlStorage(new JobConnections(database.Jobs), options));
        services.AddSingleton<JobActivator>(sp => new AspNetCoreJobActivator(sp.GetRequiredService<IServiceScopeFactory>()));
        services.AddHangfire((sp, hangfire) => hangfire.UseRecommendedSerializerSettings().UseLogProvider(new JobsLog(sp.GetRequiredService<ILoggerFactory>())));
        foreach (var (queue, workers) in ((string, int)[])[(EnqueuedState.DefaultQueue, 2), (HangfireJobs.WaitingQueue, 8)])
        {
            services.AddHangfireServer(server =>
            {
                server.Queues = [queue];
                server.WorkerCount = workers;
                server.SchedulePollingInterval = TimeSpan.FromSeconds(5);
                server.ShutdownTimeout = TimeSpan.FromSeconds(5);
            });
        }

        services.AddSingleton<IJobs, HangfireJobs>();
    }

    private static void AddApi(IServiceCollection services)
    {
        services.ConfigureHttpJsonOptions(json =>
        {
            json.SerializerOptions.NumberHandling = JsonNumberHandling.Strict;
            json.SerializerOptions.UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow;
            json.SerializerOptions.Converters.Add(new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower));
        });
        services.Configure<RouteHandlerOptions>(routes => routes.ThrowOnBadRequest = true);
        services.AddExceptionHandler<FailureHandler>();
        services.AddProblemDetails(problems => problems.CustomizeProblemDetails = context =>
        {
            if (!context.ProblemDetails.Extensions.ContainsKey("code") && FailureHandler.OfStatus(context.ProblemDetails.Status) is { } refusal)
            {
                var status = context.ProblemDetails.Status;
                context.ProblemDetails = Problems.Details(refusal);
                context.ProblemDetails.Status = status;
            }

            if (context.ProblemDetails.Extensions.TryGetValue("retryAfterSeconds", out var seconds)) context.HttpContext.Response.Headers.RetryAfter = seconds?.ToString();
        });
        services.AddOpenApi("v1", ApiDescription.Configure);
        services.AddAntiforgery();
    }

    private static void AddPages(IServiceCollection services)
    {
        services.AddRazorComponents().AddInteractiveServerComponents();
        services.AddCascadingAuthenticationState();
        services.AddRadzenComponents();
        // The accessible colours, also after a person has switched between light and dark.
        services.AddScoped(sp =>
        {
            var themes = ActivatorUtilities.CreateInstance<ThemeService>(sp);
            themes.SetTheme(new ThemeOptions { Theme = App.LightTheme, Wcag = true, TriggerChange = false });
            return themes;
        });
        services.AddRadzenCookieThemeService(theme => theme.Name = App.ThemeCookie);
        services.AddScoped<PageActions>();
    }

    private static void Listen(KestrelServerOptions kestrel, PlatformSettings settings)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestBodySize = 32L * 1024 * 1024;
        // A client slower than a bad line is holding memory on purpose, or is gone.
        kestrel.Limits.MinRequestBodyDataRate = new MinDataRate(bytesPerSecond: 4096, gracePeriod: TimeSpan.FromSeconds(10));
        kestrel.Limits.MinResponseDataRate = new MinDataRate(bytesPerSecond: 65536, gracePeriod: TimeSpan.FromSeconds(10));
        On(settings.Url, HttpProtocols.Http1);
        // Without TLS there is no negotiation, so HTTP/2 for gRPC needs a port of its own.
        On(settings.GrpcUrl, HttpProtocols.Http2);

        void On(Uri address, HttpProtocols protocols)
        {
            if (IPAddress.TryParse(address.Host, out var ip)) kestrel.Listen(ip, address.Port, listen => listen.Protocols = protocols);
            else if (address.Host is "localhost") kestrel.ListenLocalhost(address.Port, listen => listen.Protocols = protocols);
            else kestrel.ListenAnyIP(address.Port, listen => listen.Protocols = protocols);
        }
    }
}
