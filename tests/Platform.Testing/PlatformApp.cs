using System.Net.Http.Headers;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Platform.Host.Blobs;
using Platform.Kernel;

namespace Platform.Testing;

/// <summary>The real host on a real port over a real PostgreSQL, one a test process. Tests share it and take a fresh tenant each
/// (<see cref="TestTenant.NewAsync"/>), so they run in parallel and clean nothing.</summary>
public sealed class PlatformApp : WebApplicationFactory<Program>
{
    public const string AdminKey = "setup-key-of-the-test-platform";
    private static readonly Lazy<Task<PlatformApp>> Shared = new(StartAsync);

    private readonly TestDatabase database;
    private readonly IReadOnlyDictionary<string, string> settings;

    private PlatformApp(TestDatabase database, IReadOnlyDictionary<string, string>? settings = null, string? data = null)
    {
        (this.database, this.settings) = (database, settings ?? new Dictionary<string, string>());
        Data = data ?? Directory.CreateTempSubdirectory("platform-test-").FullName;
        if (data is null) AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(Data, recursive: true);
        UseKestrel();
    }

    /// <summary>The host's data folder.</summary>
    public string Data { get; }

    /// <summary>Connection string of the schema's owner, for tests that look at the tables themselves.</summary>
    public string OwnerConnectionString => database.ConnectionString;

    /// <summary>Where pages and the REST API are.</summary>
    public Uri Address { get; private set; } = null!;

    /// <summary>Where gRPC is.</summary>
    public Uri GrpcAddress { get; private set; } = null!;

    public static Task<PlatformApp> SharedAsync() => Shared.Value;

    /// <summary>A host of the test's own, on a database of its own, with settings such as limits that others must not see.</summary>
    public static async Task<PlatformApp> StartOwnAsync(IReadOnlyDictionary<string, string> settings)
    {
        var app = new PlatformApp(await TestDatabase.CreateAsync(), settings);
        app.Begin();
        return app;
    }

    /// <summary>Another host on the same database and data folder, as a second replica would be.</summary>
    public PlatformApp StartAnother()
    {
        var app = new PlatformApp(database, settings, Data);
        app.Begin();
        return app;
    }

    /// <summary>The collection of blobs by a clock of the test's own.</summary>
    public IBlobCollection CollectionAt(TimeProvider clock) => ActivatorUtilities.CreateInstance<BlobCollection>(Services, clock);

    /// <summary>A client with a key; without one it is a stranger.</summary>
    public HttpClient ClientWith(string? key)
    {
        // A handler of its own follows no redirects and keeps no cookies, as an API client would not.
        var client = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false }) { BaseAddress = Address };
        if (key is not null) client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
        return client;
    }

    protected override void ConfigureWebHost(IWebHostBuilder builder)
    {
        builder.UseSetting("PLATFORM_DATA", Data);
        builder.UseSetting("PLATFORM_DATABASE", database.ConnectionString);
        builder.UseSetting("PLATFORM_ADMIN_KEY", AdminKey);
        builder.UseSetting("PLATFORM_URL", "http://127.0.0.1:0");
        builder.UseSetting("PLATFORM_GRPC_URL", "http://127.0.0.1:0");
        foreach (var (name, value) in settings) builder.UseSetting(name, value);
        builder.ConfigureLogging(logging => logging.SetMinimumLevel(LogLevel.Warning));
    }

    private static async Task<PlatformApp> StartAsync()
    {
        var app = new PlatformApp(await TestDatabase.CreateAsync());
        app.Begin();
        return app;
    }

    private void Begin()
    {
        StartServer();
        var addresses = Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Select(a => new Uri(a)).ToArray();
        (Address, GrpcAddress) = (addresses[0], addresses[1]);
    }
}
