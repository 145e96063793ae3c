using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.RegularExpressions;
using Inference.Tests;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Platform.Host.EmbeddedPostgres;
using Platform.Testing;
using Platform.Tests.Processes;

namespace Platform.Tests.Readme;

/// <summary>Every command line that the README and the operator's page tell a person to type is typed here, as it stands there.</summary>
public sealed partial class DocumentedCommandsTests : IDisposable
{
    private const string
        Run = "./build/run", Demo = "./build/demo", DemoOwn = "./build/demo sales.csv --target price",
        RunExternal = "PLATFORM_DATABASE='Host=db.example;Username=platform;Password=choose one;Database=platform' ./build/run",
        BackUp = "tar -C data -czf backup.tar.gz .",
        UnpackBackUp = "mkdir data.restored && tar -C data.restored -xzpf backup.tar.gz",
        RunRestored = "PLATFORM_DATA=$PWD/data.restored ./build/run",
        Dump = "PGPASSWORD=$(cat data/secrets/postgres-superuser) pg_dump -h \"$PWD/data/run\" -U postgres -Fc platform > platform.dump",
        MakeRoom = "PGPASSWORD=$(cat data/secrets/postgres-superuser) psql -h \"$PWD/data/run\" -U postgres -c 'DROP DATABASE platform WITH (FORCE)' -c 'CREATE DATABASE platform' postgres",
        Restore = "PGPASSWORD=$(cat data/secrets/postgres-superuser) pg_restore -h \"$PWD/data/run\" -U postgres -d platform platform.dump",
        NeedsContainers = "A container engine is not on every machine that builds this; the image's parts are built and started here without one.";

    /// <summary>The test that types it, or why none does.</summary>
    private static readonly Dictionary<string, string> Known = new()
    {
        [Run] = nameof(It_starts_stops_with_its_database_and_is_soon_there_again),
        ["./build/test"] = "It is what runs this test.",
        [Demo] = nameof(The_demo_goes_from_a_made_up_county_to_a_metered_prediction),
        [DemoOwn] = nameof(The_demo_learns_the_prices_of_King_County),
        ["git clone <this repository> platform && cd platform"] = "This checkout came about so.",
        [RunExternal] = nameof(It_runs_on_a_PostgreSQL_of_ones_own),
        ["docker build -f build/Dockerfile -t platform ."] = NeedsContainers,
        ["docker run --read-only --tmpfs /tmp -p 127.0.0.1:8080:8080 -p 127.0.0.1:8081:8081 -v platform:/data platform"] = NeedsContainers,
        ["docker compose up"] = NeedsContainers,
        ["POSTGRES_PASSWORD='choose one' docker compose up platform-external"] = NeedsContainers,
        [BackUp] = nameof(A_backup_of_the_folder_brings_everything_back),
        [UnpackBackUp] = nameof(A_backup_of_the_folder_brings_everything_back),
        [RunRestored] = nameof(A_backup_of_the_folder_brings_everything_back),
        [Dump] = nameof(A_dump_of_the_database_brings_everything_back_with_the_blobs_and_the_master_key),
        [MakeRoom] = nameof(A_dump_of_the_database_brings_everything_back_with_the_blobs_and_the_master_key),
        [Restore] = nameof(A_dump_of_the_database_brings_everything_back_with_the_blobs_and_the_master_key),
    };

    // As open as the temporary folder itself: under root PostgreSQL is another user, who has to pass.
    private readonly string folder = Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), $"platform-operator-{Guid.NewGuid():N}")).FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void No_command_in_the_documents_is_unknown_here_and_none_here_has_left_the_documents()
    {
        string[] written = [.. CommandsOf("README.md"), .. CommandsOf("docs/operations.md")];
        written.Except(Known.Keys).ShouldBeEmpty("A command in the documents that no test types. Type it in a test here, or give the reason why none can.");
        Known.Keys.Except(written).ShouldBeEmpty("These are in no document any more.");
    }

    [Fact]
    public async Task It_starts_stops_with_its_database_and_is_soon_there_again()
    {
        var data = Path.Combine(folder, "data");
        await using (var first = await CommandAsync(Run, data))
        {
            first.Said.ShouldContain("shown this once");
            ServerProcesses.FindServer(new Cluster(data)).ShouldNotBeNull();
            (await first.StopAsync()).ShouldBe(0, first.Said);
        }

        ServerProcesses.FindServer(new Cluster(data)).ShouldBeNull();
        await using var second = await CommandAsync(Run, data);
        // Under five seconds on a machine that has nothing else to do; this one is running other tests.
        second.UntilReady.ShouldBeLessThan(TimeSpan.FromSeconds(20), second.Said);
        second.Said.ShouldNotContain("Building", customMessage: "The host that the tests were built with is started as it is.");
        second.Said.ShouldNotContain("Recovered");
        (await second.StopAsync()).ShouldBe(0, second.Said);
        ServerProcesses.FindServer(new Cluster(data)).ShouldBeNull();
    }

    [Fact]
    public async Task The_demo_goes_from_a_made_up_county_to_a_metered_prediction()
    {
        var data = Path.Combine(folder, "data");
        await using var platform = await CommandAsync(Run, data);
        var result = await DemoAsync($"{Demo} --json", ("PLATFORM_DATA", data), ("PLATFORM_URL", platform.Address.ToString()));
        result.GetProperty("r2").GetDouble().ShouldBeGreaterThan(0.8);
        result.GetProperty("predictions").GetArrayLength().ShouldBe(5);
        result.GetProperty("usage").GetProperty("count").GetInt64().ShouldBe(5);
    }

    [SharedDataFact("data/kc_house_data.csv")]
    public async Task The_demo_learns_the_prices_of_King_County()
    {
        // Nobody answers at this address, so the demo starts a platform itself, and says how to stop it.
        var address = $"http://127.0.0.1:{FreePort()}";
        var log = "";
        try
        {
            var result = await DemoAsync($"{DemoOwn.Replace("sales.csv", SharedData.PathOf("data/kc_house_data.csv"), StringComparison.Ordinal)} --json", said => log = said,
                ("PLATFORM_DATA", Path.Combine(folder, "data")), ("PLATFORM_URL", address), ("PLATFORM_GRPC_URL", $"http://127.0.0.1:{FreePort()}"));
            result.GetProperty("r2").GetDouble().ShouldBeGreaterThan(0.80);
            result.GetProperty("usage").GetProperty("count").GetInt64().ShouldBe(5);
        }
        finally
        {
            if (HowToStop().Match(log) is { Success: true } stop) await Shell.RunAsync($"kill {stop.Groups[1].Value} && while kill -0 {stop.Groups[1].Value} 2>/dev/null; do sleep 0.1; done", folder);
        }
    }

    [Fact]
    public async Task It_runs_on_a_PostgreSQL_of_ones_own()
    {
        var server = await EmbeddedServer.StartAsync(Path.Combine(folder, "own-server"), NullLogger.Instance, default);
        try
        {
            // The role and the database are made as the page says, so that what it asks for is known to be enough.
            await using (var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(server.AdminConnectionString) { Database = "postgres" }.ConnectionString))
            {
                await connection.OpenAsync();
                await new NpgsqlCommand("DROP DATABASE platform", connection).ExecuteNonQueryAsync();
                foreach (var statement in BlocksOf("docs/operations.md", "sql").SelectMany(block => block.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)))
                {
                    await new NpgsqlCommand(statement, connection).ExecuteNonQueryAsync();
                }
            }

            var host = new NpgsqlConnectionStringBuilder(server.AdminConnectionString).Host!;
            var data = Path.Combine(folder, "data");
            await using var platform = await CommandAsync(RunExternal.Replace("db.example", host, StringComparison.Ordinal), data);
            await BeginAsync(platform.Address, data);
            Directory.Exists(Path.Combine(data, "postgres")).ShouldBeFalse();
            (await platform.StopAsync()).ShouldBe(0, platform.Said);
        }
        finally
        {
            await server.StopAsync();
        }
    }

    [Fact]
    public async Task A_backup_of_the_folder_brings_everything_back()
    {
        var data = Path.Combine(folder, "data");
        string key, prediction;
        await using (var platform = await CommandAsync(Run, data))
        {
            (key, prediction) = await BeginAsync(platform.Address, data);
            await platform.StopAsync();
        }

        await Shell.RunAsync(BackUp, folder);
        await Shell.RunAsync(UnpackBackUp, folder);
        Directory.Delete(data, recursive: true);
        await using var restored = await CommandAsync(RunRestored, data);
        await ContinuesAsync(restored.Address, key, prediction);
    }

    [Fact]
    public async Task A_dump_of_the_database_brings_everything_back_with_the_blobs_and_the_master_key()
    {
        var (data, withClients) = (Path.Combine(folder, "data"), await PathWithClientsAsync());
        string key, prediction;
        await using (var platform = await CommandAsync(Run, data))
        {
            (key, prediction) = await BeginAsync(platform.Address, data);
            await Shell.RunAsync(Dump, folder, withClients);
        }

        var fresh = Path.Combine(Directory.CreateDirectory(Path.Combine(folder, "fresh")).FullName, "data");
        await using (var first = await CommandAsync(Run, fresh)) await first.StopAsync();
        await Shell.RunAsync("cp data/secrets/master-key fresh/data/secrets/ && mkdir -p fresh/data/blobs && cp -r data/blobs/. fresh/data/blobs/ && cp platform.dump fresh/", folder);
        await using (var idle = await CommandAsync(Run, fresh))
        {
            await Shell.RunAsync(MakeRoom, Path.Combine(folder, "fresh"), withClients);
            await Shell.RunAsync(Restore, Path.Combine(folder, "fresh"), withClients);
        }

        await using var continued = await CommandAsync(Run, fresh);
        await ContinuesAsync(continued.Address, key, prediction);
    }

    /// <summary>A tenant with an endpoint that has answered; its developer's key and the prediction's id.</summary>
    private static async Task<(string Key, string Prediction)> BeginAsync(Uri address, string data)
    {
        using var admin = Client(address, await File.ReadAllTextAsync(Path.Combine(data, "secrets", "admin-key")));
        await (await admin.PostAsJsonAsync("api/v1/tenancy/tenants", new { id = "first", name = "First" })).ShouldBeAsync(201);
        var key = await TestTenant.IssueKeyAsync(admin, "first", "developer");
        using var developer = Client(address, key);
        await (await developer.PostAsJsonAsync("api/v1/registry/models", new { name = "houses" })).ShouldBeAsync(201);
        using var file = new ByteArrayContent(OnnxFiles.Houses()) { Headers = { ContentType = new MediaTypeHeaderValue("application/octet-stream") } };
        await (await developer.PostAsync("api/v1/registry/models/houses/versions", file)).ShouldBeAsync(201);
        await (await developer.PostAsJsonAsync("api/v1/inference/endpoints", new { name = "houses", model = "houses", alias = "1" })).ShouldBeAsync(201);
        return (key, await PredictAsync(developer));
    }

    private static async Task ContinuesAsync(Uri address, string key, string prediction)
    {
        using var developer = Client(address, key);
        await (await developer.GetAsync($"api/v1/inference/predictions/{prediction}")).ShouldBeAsync(200);
        await PredictAsync(developer);
        (await (await developer.GetAsync("api/v1/billing/usage")).ShouldBeAsync(200)).GetProperty("predictions").GetInt64().ShouldBe(2);
    }

    private static async Task<string> PredictAsync(HttpClient developer) =>
        (await (await developer.PostAsJsonAsync("api/v1/inference/endpoints/houses/predict", new { inputs = new { size = 1, city = "north", sold = 0 } })).ShouldBeAsync(200)).GetProperty("id").GetString()!;

    private static HttpClient Client(Uri address, string key) => new() { BaseAddress = address, DefaultRequestHeaders = { Authorization = new AuthenticationHeaderValue("Bearer", key.Trim()) } };

    private Task<PlatformProcess> CommandAsync(string command, string data) => PlatformProcess.CommandAsync(Here(command), folder, data);

    private Task<JsonElement> DemoAsync(string command, params (string, string)[] environment) => DemoAsync(command, _ => { }, environment);

    /// <summary>The last line that the demo writes with --json.</summary>
    private async Task<JsonElement> DemoAsync(string command, Action<string> hear, params (string, string)[] environment)
    {
        // Its words go to a file, because a platform that it starts keeps an inherited pipe open.
        var file = Path.Combine(folder, "demo.out");
        try
        {
            await Shell.RunAsync($"{Here(command)} >{file}", folder, environment);
        }
        finally
        {
            hear(await File.ReadAllTextAsync(file));
        }

        return JsonDocument.Parse((await File.ReadAllLinesAsync(file))[^1]).RootElement;
    }

    /// <summary>The scripts are this checkout's, while the command's own folder is the test's.</summary>
    private static string Here(string command) => command.Replace("./build/", $"{SharedData.Root}/build/", StringComparison.Ordinal);

    /// <summary>PostgreSQL's clients of the same release as the server, wherever it was found.</summary>
    private static async Task<(string, string)> PathWithClientsAsync() =>
        ("PATH", $"{(await Shell.RunAsync(Here("./build/postgresql-programs"), "/")).Trim()}:{Environment.GetEnvironmentVariable("PATH")}");

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static IEnumerable<string> CommandsOf(string document) =>
        from block in BlocksOf(document, "bash")
        from line in block.Replace("\\\n", " ", StringComparison.Ordinal).Split('\n')
        let command = Comment().Replace(line, "").Trim()
        where command.Length > 0
        select command;

    private static IEnumerable<string> BlocksOf(string document, string language) =>
        from Match match in Block().Matches(File.ReadAllText(Path.Combine(SharedData.Root, document)))
        where match.Groups[1].Value == language
        select match.Groups[2].Value;

    [GeneratedRegex(@"^```(\w*)\n(.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Block();

    [GeneratedRegex(@"(^|\s+)#\s.*$")]
    private static partial Regex Comment();

    [GeneratedRegex(@"stop it with: kill (\d+)")]
    private static partial Regex HowToStop();
}
