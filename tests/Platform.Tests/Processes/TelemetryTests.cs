using System.Net.Http.Headers;
using System.Net.Http.Json;
using Inference.Tests;
using Platform.Testing;

namespace Platform.Tests.Processes;

public sealed class TelemetryTests
{
    /// <summary>ONNX Runtime keeps quiet under CI by itself, and where a launcher has told it to. Neither may be what protects our tenants' names.</summary>
    private static readonly string[] WhatWouldSilenceIt = ["ORT_DISABLE_TELEMETRY", "CI", "GITHUB_ACTIONS", "TF_BUILD", "GITLAB_CI", "TRAVIS", "CIRCLECI", "BUILDKITE", "JENKINS_URL", "TEAMCITY_VERSION", "CODEBUILD_BUILD_ID", "XDG_CACHE_HOME"];

    [Fact]
    public async Task A_platform_that_inspects_loads_and_runs_models_leaves_nothing_for_ONNX_Runtimes_maker()
    {
        var (data, home) = (Directory.CreateTempSubdirectory("platform-telemetry-").FullName, Directory.CreateTempSubdirectory("platform-home-").FullName);
        try
        {
            var database = await TestDatabase.CreateAsync();
            await using (var platform = await PlatformProcess.HostAsync(data, environment =>
            {
                foreach (var name in WhatWouldSilenceIt) environment.Remove(name);
                (environment["HOME"], environment["PLATFORM_DATABASE"], environment["PLATFORM_ADMIN_KEY"]) = (home, database.ConnectionString, PlatformApp.AdminKey);
            }))
            {
                using var admin = Client(platform.Address, PlatformApp.AdminKey);
                await (await admin.PostAsJsonAsync("api/v1/tenancy/tenants", new { id = "watched", name = "Watched" })).ShouldBeAsync(201);
                using var developer = Client(platform.Address, await TestTenant.IssueKeyAsync(admin, "watched", "developer"));
                await (await developer.PostAsJsonAsync("api/v1/registry/models", new { name = "houses" })).ShouldBeAsync(201);
                using var file = new ByteArrayContent(OnnxFiles.Houses()) { Headers = { ContentType = new MediaTypeHeaderValue("application/octet-stream") } };
                await (await developer.PostAsync("api/v1/registry/models/houses/versions", file)).ShouldBeAsync(201);
                await (await developer.PostAsJsonAsync("api/v1/inference/endpoints", new { name = "houses", model = "houses", alias = "1" })).ShouldBeAsync(201);
                var answer = await (await developer.PostAsJsonAsync("api/v1/inference/endpoints/houses/predict", new { inputs = new { size = 1, city = "north", sold = 0 } })).ShouldBeAsync(200);
                answer.GetProperty("prediction").GetDouble().ShouldBe(102);
                (await platform.StopAsync()).ShouldBe(0, platform.Said);
            }

            Directory.GetFileSystemEntries(home, "*", SearchOption.AllDirectories).Where(path => path.Contains(".onnxruntime", StringComparison.Ordinal)).ShouldBeEmpty();
        }
        finally
        {
            Directory.Delete(data, recursive: true);
            Directory.Delete(home, recursive: true);
        }
    }

    private static HttpClient Client(Uri address, string key) => new() { BaseAddress = address, DefaultRequestHeaders = { Authorization = new AuthenticationHeaderValue("Bearer", key) } };
}
