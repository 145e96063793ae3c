using System.Diagnostics;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Inference.Tests;
using Platform.Testing;

namespace Platform.Tests.Processes;

/// <summary>A host that is killed in the middle of taking a model in, one whose disk is full, and one whose children die.</summary>
public sealed class UploadFaultTests : IDisposable
{
    private const string Tenant = "uploads", Versions = "api/v1/registry/models/m/versions";
    private readonly string data = Directory.CreateTempSubdirectory("platform-uploads-").FullName;

    private string Blobs => Path.Combine(data, "blobs", Tenant);

    public void Dispose() => Directory.Delete(data, recursive: true);

    [Fact]
    public async Task A_host_that_is_killed_at_any_step_of_an_upload_has_all_of_it_or_nothing_and_clears_up_when_it_starts()
    {
        var database = await TestDatabase.CreateAsync();
        var file = OnnxFiles.Houses();
        string key;
        await using (var platform = await StartAsync(database))
        {
            key = await PrepareAsync(platform);
            // Half of the body is there.
            using var half = await SendHalfAsync(platform.Address, key);
            await Eventually.BecomesAsync("the draft", () => Task.FromResult(Files("drafts").Length), count => count == 1);
            platform.Kill();
        }

        await using (var platform = await StartAsync(database))
        {
            Files("drafts").ShouldBeEmpty();
            using var developer = Client(platform.Address, key);
            (await VersionsAsync(developer)).ShouldBeEmpty();
            // The file is stored, and being inspected.
            var sending = SendAsync(developer, file, "first");
            await Eventually.BecomesAsync("the blob", () => Task.FromResult(File.Exists(BlobOf(file))), there => there);
            platform.Kill();
            await Should.ThrowAsync<HttpRequestException>(() => sending);
        }

        await using (var platform = await StartAsync(database))
        {
            using var developer = Client(platform.Address, key);
            var kept = await VersionsAsync(developer);
            kept.Length.ShouldBeLessThanOrEqualTo(1);
            // The same again says what it is about: done, done before, or to be asked for later; never a second version.
            using (var again = await SendAsync(developer, file, "first")) ((int)again.StatusCode).ShouldBeOneOf(201, 409);
            (await VersionsAsync(developer)).Length.ShouldBeLessThanOrEqualTo(1);
            using (var other = await SendAsync(developer, file, "second")) await other.ShouldBeAsync(201);
            platform.Kill();
        }

        await using (var platform = await StartAsync(database))
        {
            // What was answered is there, whole.
            using var developer = Client(platform.Address, key);
            var versions = await VersionsAsync(developer);
            versions.Length.ShouldBeInRange(1, 2);
            foreach (var version in versions) (await developer.GetByteArrayAsync($"{Versions}/{version}/artifact")).ShouldBe(file);
            Files("drafts").ShouldBeEmpty();
            (await platform.StopAsync()).ShouldBe(0, platform.Said);
        }
    }

    [Fact]
    public async Task A_tenants_file_never_comes_to_a_process_that_has_seen_anothers_and_one_that_dies_between_two_files_is_nobodys_fault()
    {
        var database = await TestDatabase.CreateAsync();
        await using var platform = await StartAsync(database);
        using var first = Client(platform.Address, await PrepareAsync(platform));
        using var second = Client(platform.Address, await PrepareAsync(platform, "others"));
        using (var answer = await SendAsync(first, OnnxFiles.Houses(), null)) await answer.ShouldBeAsync(201);
        var seen = Children();
        using (var answer = await SendAsync(second, OnnxFiles.Houses(), null)) await answer.ShouldBeAsync(201);
        Children().Except(seen).ShouldHaveSingleItem();

        foreach (var child in Children()) Process.GetProcessById(child).Kill();
        using (var answer = await SendAsync(first, OnnxFiles.Houses(), null)) await answer.ShouldBeAsync(201);
        (await VersionsAsync(first)).ShouldBe([2, 1]);

        // The platform's own, of which those are that wait for their tenant's next file.
        int[] Children() => [.. Process.GetProcessesByName("dotnet").Select(process => process.Id).Where(IsChild)];

        bool IsChild(int process)
        {
            try
            {
                return File.ReadAllText($"/proc/{process}/cmdline").Contains("--child", StringComparison.Ordinal) && File.ReadAllText($"/proc/{process}/stat").Split(") ")[^1].Split(' ')[1] == $"{platform.Id}";
            }
            catch (Exception ended) when (ended is IOException or UnauthorizedAccessException)
            {
                return false;
            }
        }
    }

    [PrivateMountFact]
    public async Task A_full_disk_is_told_keeps_nothing_of_the_file_and_passes()
    {
        var database = await TestDatabase.CreateAsync();
        Directory.CreateDirectory(Path.Combine(data, "blobs"));
        var host = Path.Combine(SharedData.Root, "artifacts", "bin", "Platform.Host", "release_linux-x64", "Platform.Host.dll");
        // A small filesystem that only this process sees.
        await using var platform = await PlatformProcess.CommandAsync($"exec unshare -m bash -c 'mount -t tmpfs -o size=8m tmpfs \"$PLATFORM_DATA/blobs\" && exec dotnet {host}'", data, data, environment => Own(environment, database));
        var key = await PrepareAsync(platform);
        using var developer = Client(platform.Address, key);
        using (var answer = await SendAsync(developer, [8, 1, .. new byte[16 << 20]], null)) await answer.ShouldRefuseAsync(503, "storage-full");
        using (var artifact = await developer.PutAsync("mlflow/api/2.0/mlflow-artifacts/artifacts/0/r/artifacts/large", new ByteArrayContent(new byte[16 << 20]))) await artifact.ShouldBeAsync(503);
        // Nothing of it is left, or there would be no room for this.
        using (var answer = await SendAsync(developer, OnnxFiles.Houses(), null)) await answer.ShouldBeAsync(201);
        (await VersionsAsync(developer)).ShouldBe([1]);
        (await platform.StopAsync()).ShouldBe(0, platform.Said);
    }

    private Task<PlatformProcess> StartAsync(TestDatabase database) => PlatformProcess.HostAsync(data, environment => Own(environment, database));

    private static void Own(IDictionary<string, string?> environment, TestDatabase database) =>
        (environment["PLATFORM_DATABASE"], environment["PLATFORM_ADMIN_KEY"]) = (database.ConnectionString, PlatformApp.AdminKey);

    private static async Task<string> PrepareAsync(PlatformProcess platform, string tenant = Tenant)
    {
        using var admin = Client(platform.Address, PlatformApp.AdminKey);
        await (await admin.PostAsJsonAsync("api/v1/tenancy/tenants", new { id = tenant, name = "Uploads" })).ShouldBeAsync(201);
        var key = await TestTenant.IssueKeyAsync(admin, tenant, "developer");
        using var developer = Client(platform.Address, key);
        await (await developer.PostAsJsonAsync("api/v1/registry/models", new { name = "m" })).ShouldBeAsync(201);
        return key;
    }

    private static async Task<TcpClient> SendHalfAsync(Uri address, string key)
    {
        var socket = new TcpClient();
        await socket.ConnectAsync(address.Host, address.Port);
        var stream = socket.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"POST /{Versions} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/octet-stream\r\nContent-Length: 8000000\r\n\r\n"));
        await stream.WriteAsync(new byte[4 << 20]);
        return socket;
    }

    private static async Task<HttpResponseMessage> SendAsync(HttpClient by, byte[] file, string? idempotencyKey)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Versions) { Content = new ByteArrayContent(file) { Headers = { ContentType = new MediaTypeHeaderValue("application/octet-stream") } } };
        if (idempotencyKey is not null) request.Headers.Add("Idempotency-Key", idempotencyKey);
        return await by.SendAsync(request);
    }

    private static async Task<int[]> VersionsAsync(HttpClient by) =>
        [.. (await (await by.GetAsync("api/v1/registry/models/m")).ShouldBeAsync(200)).GetProperty("versions").EnumerateArray().Select(v => v.GetProperty("version").GetInt32())];

    private string[] Files(string folder) => Path.Combine(Blobs, folder) is var path && Directory.Exists(path) ? Directory.GetFiles(path) : [];

    private string BlobOf(byte[] file) => Convert.ToHexStringLower(SHA256.HashData(file)) is var sha256 ? Path.Combine(Blobs, sha256[..2], sha256) : "";

    private static HttpClient Client(Uri address, string key) => new() { BaseAddress = address, DefaultRequestHeaders = { Authorization = new AuthenticationHeaderValue("Bearer", key) } };
}

/// <summary>A test that needs a filesystem of its own, which not every machine lets a process mount.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class PrivateMountFactAttribute : FactAttribute
{
    public PrivateMountFactAttribute()
    {
        try
        {
            using var tried = Process.Start(new ProcessStartInfo("unshare", ["-m", "true"]) { RedirectStandardError = true })!;
            tried.WaitForExit();
            if (tried.ExitCode != 0) Skip = "This machine lets nobody mount privately.";
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Skip = "There is no unshare here.";
        }
    }
}
