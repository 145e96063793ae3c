using System.Diagnostics;
using System.Net.Http.Headers;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Npgsql;

namespace Platform.Load;

/// <summary>A platform of the measurement's own: the host as it ships, with its embedded PostgreSQL, in a folder that goes with it.</summary>
internal sealed partial class RunningPlatform : IAsyncDisposable
{
    private const string SetupKey = "setup-key-of-the-measurement";
    private readonly string hostDll;
    private readonly IReadOnlyDictionary<string, string> settings;
    private Process? process;

    private RunningPlatform(string hostDll, string data, IReadOnlyDictionary<string, string> settings) => (this.hostDll, Data, this.settings) = (hostDll, data, settings);

    public string Data { get; }

    public Uri Address { get; } = new("http://127.0.0.1:18180");

    public Uri GrpcAddress { get; } = new("http://127.0.0.1:18181");

    public int ProcessId => process!.Id;

    /// <summary>Whether its folder stays when it ends.</summary>
    private bool Stays { get; init; }

    public static async Task<RunningPlatform> StartAsync(string hostDll, IReadOnlyDictionary<string, string>? settings = null, string? data = null, bool stays = false)
    {
        var platform = new RunningPlatform(hostDll, data ?? Directory.CreateTempSubdirectory("platform-load-").FullName, settings ?? new Dictionary<string, string>()) { Stays = stays };
        await platform.StartAsync();
        return platform;
    }

    /// <summary>Starts the host on the same folder again; the time until it is ready.</summary>
    public async Task<TimeSpan> StartAsync()
    {
        var began = Stopwatch.GetTimestamp();
        var info = new ProcessStartInfo("dotnet", [hostDll]) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in new Dictionary<string, string>(settings)
        {
            ["ORT_DISABLE_TELEMETRY"] = "1",
            ["PLATFORM_DATA"] = Data,
            ["PLATFORM_URL"] = Address.ToString(),
            ["PLATFORM_GRPC_URL"] = GrpcAddress.ToString(),
            ["PLATFORM_ADMIN_KEY"] = SetupKey,
        })
        {
            info.Environment[name] = value;
        }

        process = Process.Start(info)!;
        Output = new StringWriter();
        process.OutputDataReceived += (_, line) => Output.WriteLine(line.Data);
        process.ErrorDataReceived += (_, line) => Output.WriteLine(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        using var http = new HttpClient { BaseAddress = Address, Timeout = TimeSpan.FromSeconds(5) };
        while (true)
        {
            try
            {
                if ((await http.GetAsync("health/ready")).IsSuccessStatusCode) return Stopwatch.GetElapsedTime(began);
            }
            catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
            {
                // Not listening yet.
            }

            if (process.HasExited) throw new InvalidOperationException($"The platform ended with {process.ExitCode}:\n{Output}");
            if (Stopwatch.GetElapsedTime(began) > TimeSpan.FromMinutes(3)) throw new TimeoutException($"The platform did not become ready:\n{Output}");
            await Task.Delay(20);
        }
    }

    /// <summary>What the host has printed since it was last started.</summary>
    public StringWriter Output { get; private set; } = new();

    public async Task<bool> IsReadyAsync()
    {
        using var http = new HttpClient { BaseAddress = Address, Timeout = TimeSpan.FromSeconds(5) };
        try
        {
            return (await http.GetAsync("health/ready")).IsSuccessStatusCode;
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
        {
            return false;
        }
    }

    /// <summary>A signal to the host, such as SIGKILL (9).</summary>
    public void Signal(int signal) => SignalTo(process!.Id, signal);

    public static void SignalTo(int pid, int signal)
    {
        if (Kill(pid, signal) != 0) throw new InvalidOperationException($"There is no process {pid} to signal.");
    }

    public async Task EndedAsync() => await process!.WaitForExitAsync();

    /// <summary>The embedded PostgreSQL's first process; 0 while there is none, or its file is being written.</summary>
    public int PostgresId()
    {
        try
        {
            return int.TryParse(File.ReadLines(Path.Combine(Data, "postgres", "postmaster.pid")).FirstOrDefault(), out var id) ? id : 0;
        }
        catch (FileNotFoundException)
        {
            return 0;
        }
    }

    /// <summary>A connection to its database as the superuser, whom no policy binds.</summary>
    public async Task<NpgsqlConnection> OwnerAsync()
    {
        var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder
        {
            Host = Path.Combine(Data, "run"),
            Username = "postgres",
            Password = (await File.ReadAllTextAsync(Path.Combine(Data, "secrets", "postgres-superuser"))).Trim(),
            Database = "platform",
            Pooling = false,
        }.ConnectionString);
        await connection.OpenAsync();
        return connection;
    }

    public LoadTenant As(string tenant, string key) => new(this, tenant, key);

    public LoadTenant Administrator => new(this, "platform", SetupKey);

    /// <summary>A tenant with an administrator's key, and without the rule of four eyes: a measurement has one person.</summary>
    public async Task<LoadTenant> TenantAsync(string id)
    {
        using var platform = Administrator;
        await platform.PostAsync("tenancy/tenants", new { id, name = id });
        var tenant = await KnownTenantAsync(id);
        await tenant.PutAsync("governance/policy", new { approvalRequired = false, reason = "A measurement has one person." });
        return tenant;
    }

    /// <summary>A tenant that is there from a run before, with another key.</summary>
    public async Task<LoadTenant> KnownTenantAsync(string id)
    {
        using var platform = Administrator;
        return As(id, (await platform.PostAsync($"tenancy/tenants/{id}/keys", new { name = "load", role = "tenant-admin" }))["key"]!.ToString());
    }

    /// <summary>Resident bytes of the host's process now.</summary>
    public long Resident() => long.Parse(File.ReadAllText($"/proc/{ProcessId}/statm").Split(' ')[1]) * Environment.SystemPageSize;

    public async ValueTask DisposeAsync()
    {
        if (process is { HasExited: false })
        {
            // SIGTERM, so that the host stops its database too.
            Signal(15);
            await process.WaitForExitAsync();
        }

        process?.Dispose();
        if (!Stays) Directory.Delete(Data, recursive: true);
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int pid, int signal);
}

/// <summary>One tenant of it, as an administrator of the tenant calls.</summary>
internal sealed class LoadTenant(RunningPlatform platform, string id, string key) : IDisposable
{
    private readonly HttpClient http = new()
    {
        BaseAddress = platform.Address,
        Timeout = TimeSpan.FromMinutes(10),
        DefaultRequestHeaders = { Authorization = new AuthenticationHeaderValue("Bearer", key) },
    };

    public string Id { get; } = id;

    public string Key { get; } = key;

    /// <summary>Uploads the model and puts it behind an endpoint of the given name.</summary>
    public async Task DeployAsync(Model model, string endpoint, object? settings = null)
    {
        using (var known = await http.GetAsync($"api/v1/registry/models/{model.Name}"))
        {
            if (!known.IsSuccessStatusCode)
            {
                await UploadAsync(model);
                await PutAsync($"registry/models/{model.Name}/aliases/champion", new { version = 1 });
            }
        }

        var body = System.Text.Json.JsonSerializer.SerializeToNode(settings ?? new { })!.AsObject();
        (body["name"], body["model"], body["alias"]) = (endpoint, model.Name, "champion");
        await PostAsync("inference/endpoints", body);
    }

    public async Task UploadAsync(Model model)
    {
        await PostAsync("registry/models", new { name = model.Name });
        await AddVersionAsync(model);
    }

    public Task AddVersionAsync(Model model) =>
        SendAsync(HttpMethod.Post, $"registry/models/{model.Name}/versions", new ByteArrayContent(model.Onnx) { Headers = { ContentType = new("application/octet-stream") } });

    /// <summary>Asks with a body of the Open Inference Protocol; anything but an answer is thrown.</summary>
    public async Task InferAsync(string endpoint, byte[] body)
    {
        using var answer = await http.PostAsync($"v2/models/{endpoint}/infer", new ByteArrayContent(body));
        if (!answer.IsSuccessStatusCode) throw new InvalidOperationException(await answer.Content.ReadAsStringAsync());
    }

    public Task<JsonNode> GetAsync(string path) => SendAsync(HttpMethod.Get, path, null);

    public Task<JsonNode> PostAsync(string path, object body) => SendAsync(HttpMethod.Post, path, JsonContent.Create(body));

    public Task<JsonNode> PutAsync(string path, object body) => SendAsync(HttpMethod.Put, path, JsonContent.Create(body));

    public Task<JsonNode> PostCsvAsync(string path, string csv) => SendAsync(HttpMethod.Post, path, new StringContent(csv, System.Text.Encoding.UTF8, "text/csv"));

    /// <summary>Predicts rows of named columns as a stream of events, until its end.</summary>
    public async Task StreamAsync(string endpoint, JsonNode body, CancellationToken ct)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"api/v1/inference/endpoints/{endpoint}/predict") { Content = JsonContent.Create(body), Headers = { Accept = { new("text/event-stream") } } };
        using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ct);
        answer.EnsureSuccessStatusCode();
        await answer.Content.CopyToAsync(Stream.Null, ct);
    }

    public async Task<long> UsageAsync() => (await GetAsync("billing/usage"))["predictions"]!.GetValue<long>();

    public Uri Infer(string endpoint) => new(platform.Address, $"v2/models/{endpoint}/infer");

    public void Dispose() => http.Dispose();

    /// <summary>A call of the MLflow dialect.</summary>
    public Task<JsonNode> MlflowAsync(string path, object body) => SendAsync(HttpMethod.Post, path, JsonContent.Create(body), "mlflow/api/2.0/mlflow");

    /// <summary>The same, and how long it took until the last byte of the answer was here; parsing it is the caller's own affair.</summary>
    public async Task<(double Milliseconds, JsonNode Answer)> TimeMlflowAsync(string path, object body)
    {
        var began = Stopwatch.GetTimestamp();
        using var answer = await http.PostAsync($"mlflow/api/2.0/mlflow/{path}", JsonContent.Create(body));
        var content = await answer.Content.ReadAsByteArrayAsync();
        var took = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
        if (!answer.IsSuccessStatusCode) throw new InvalidOperationException($"{path}: {(int)answer.StatusCode} {System.Text.Encoding.UTF8.GetString(content)}");
        return (took, JsonNode.Parse(content)!);
    }

    public Task<JsonNode> MlflowGetAsync(string path) => SendAsync(HttpMethod.Get, path, null, "mlflow/api/2.0/mlflow");

    /// <summary>A client of its own, with connections of its own.</summary>
    public HttpClient Client(RunningPlatform of) => new() { BaseAddress = of.Address, DefaultRequestHeaders = { Authorization = new AuthenticationHeaderValue("Bearer", Key) } };

    private async Task<JsonNode> SendAsync(HttpMethod method, string path, HttpContent? content, string prefix = "api/v1")
    {
        using var request = new HttpRequestMessage(method, $"{prefix}/{path}") { Content = content };
        using var answer = await http.SendAsync(request);
        var body = await answer.Content.ReadAsStringAsync();
        if (!answer.IsSuccessStatusCode) throw new InvalidOperationException($"{method} {path}: {(int)answer.StatusCode} {body}");
        return body.Length == 0 ? new JsonObject() : JsonNode.Parse(body)!;
    }
}
