using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Platform.Registry.Tracking;
using Platform.Testing;

namespace Registry.Tests.Mlflow;

public sealed class UploadTests
{
    private const string Folder = "0/r/artifacts/dir";

    [Fact]
    public async Task Parts_in_any_order_and_at_once_become_one_file_whose_hash_is_the_whole_ones()
    {
        var tenant = await TestTenant.NewAsync();
        var content = new byte[(5 << 20) + 77];
        new Random(5).NextBytes(content);
        var parts = content.Chunk(2 << 20).ToArray();
        var created = await CreateAsync(tenant, "C:\\data\\big.bin", parts.Length);
        using var stranger = tenant.App.ClientWith(null);
        var sent = await Task.WhenAll(created.Urls.Select((url, i) => PutAsync(stranger, url, parts[i])).Reverse());
        await (await tenant.Viewer.GetAsync($"{TestMlflow.Files}/{Folder}/big.bin")).ShouldBeAsync(404);

        object Complete(IEnumerable<int> order) => new { path = "big.bin", upload_id = created.Id, parts = order.Select(i => new { part_number = i + 1, etag = sent.Reverse().ElementAt(i), url = created.Urls[i] }) };
        await RefusesAsync(tenant, "complete", Complete([1, 0, 2]), 400);
        await RefusesAsync(tenant, "complete", Complete([0, 1]), 400);
        await RefusesAsync(tenant, "complete", new { path = "big.bin", upload_id = created.Id, parts = Enumerable.Range(1, 3).Select(n => new { part_number = n, etag = new string('0', 64) }) }, 400);
        await (await PostAsync(tenant.Developer, "complete", Complete([0, 1, 2]))).ShouldBeAsync(200);
        // Its answer was lost, so the client asks again.
        await (await PostAsync(tenant.Developer, "complete", Complete([0, 1, 2]))).ShouldBeAsync(200);

        using var file = await tenant.Viewer.GetAsync($"{TestMlflow.Files}/{Folder}/big.bin");
        (await file.Content.ReadAsByteArrayAsync()).ShouldBe(content);
        file.Headers.ETag!.Tag.ShouldBe($"\"{Convert.ToHexStringLower(SHA256.HashData(content))}\"");
        Directory.GetFiles(Path.Combine(tenant.App.Data, "blobs", tenant.Id), "*", SearchOption.AllDirectories).ShouldHaveSingleItem();
    }

    [Fact]
    public async Task An_address_is_good_for_its_part_its_upload_its_tenant_and_its_time_alone()
    {
        var (tenant, other) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        var (created, another) = (await CreateAsync(tenant, "f", 2), await CreateAsync(tenant, "g", 2));
        using var stranger = tenant.App.ClientWith(null);
        var url = created.Urls[0];
        foreach (var wrong in new[]
        {
            url.Replace($"/{created.Id}/1?", $"/{created.Id}/2?"), url.Replace(created.Id, another.Id), url.Replace(tenant.Id, other.Id), url.Replace(tenant.Id, "no-such-tenant"), url.Split("&signature=")[0], url + "0",
            System.Text.RegularExpressions.Regex.Replace(url, "expires=[0-9]+", "expires=9999999999"), url.Replace("expires=", "expires=x"),
        })
        {
            using var answer = await stranger.PutAsync(wrong, new ByteArrayContent([1]));
            (await answer.ShouldBeAsync(403)).GetProperty("error_code").GetString().ShouldBe("PERMISSION_DENIED");
        }

        await PutAsync(stranger, url, [1]);
        await RefusesAsync(other, "complete", new { path = "f", upload_id = created.Id, parts = new[] { new { part_number = 1, etag = new string('0', 64) } } }, 404);
        await RefusesAsync(other, "abort", new { path = "f", upload_id = created.Id }, 404);
        await (await PostAsync(tenant.Viewer, "create", new { path = "f", num_parts = 1 })).ShouldBeAsync(403);
    }

    [Fact]
    public async Task An_upload_that_is_aborted_or_abandoned_leaves_nothing()
    {
        var tenant = await TestTenant.NewAsync();
        using var stranger = tenant.App.ClientWith(null);
        var aborted = await CreateAsync(tenant, "f", 1);
        var etag = await PutAsync(stranger, aborted.Urls[0], [1, 2, 3]);
        await (await PostAsync(tenant.Developer, "abort", new { path = "f", upload_id = aborted.Id })).ShouldBeAsync(200);
        await RefusesAsync(tenant, "abort", new { path = "f", upload_id = aborted.Id }, 404);
        await RefusesAsync(tenant, "complete", new { path = "f", upload_id = aborted.Id, parts = new[] { new { part_number = 1, etag } } }, 404);
        await (await stranger.PutAsync(aborted.Urls[0], new ByteArrayContent([1]))).ShouldBeAsync(404);

        var abandoned = await CreateAsync(tenant, "f", 1);
        await PutAsync(stranger, abandoned.Urls[0], [1, 2, 3]);
        var clock = new StoppedClock { Now = DateTimeOffset.UtcNow.AddDays(3) };
        await ActivatorUtilities.CreateInstance<Uploads>(tenant.App.Services, clock).GiveUpAsync(tenant.Id, clock.Now.AddDays(-2), default);
        (await tenant.App.CollectionAt(clock).CollectAsync(tenant.Id, TimeSpan.FromDays(1), default)).Deleted.ShouldBe(1);
        await (await stranger.PutAsync(abandoned.Urls[0], new ByteArrayContent([1]))).ShouldBeAsync(404);
        Directory.GetFiles(Path.Combine(tenant.App.Data, "blobs", tenant.Id), "*", SearchOption.AllDirectories).ShouldBeEmpty();
    }

    [Fact]
    public async Task Paths_that_lead_elsewhere_or_to_registered_versions_are_refused_and_so_are_too_many_parts()
    {
        var tenant = await TestTenant.NewAsync();
        foreach (var (folder, body, status) in new (string, object, int)[]
        {
            ("a/..%2fb", new { path = "f", num_parts = 1 }, 400), ("a", new { path = "..", num_parts = 1 }, 400), ("a", new { num_parts = 1 }, 400), ("a", new { path = "f", num_parts = 0 }, 400),
            ("a", new { path = "f", num_parts = 10_001 }, 400), ("model-versions/x", new { path = "f", num_parts = 1 }, 403),
        })
        {
            await (await tenant.Developer.PostAsJsonAsync($"mlflow/api/2.0/mlflow-artifacts/mpu/create/{folder}", body)).ShouldBeAsync(status);
        }
    }

    private sealed record Created(string Id, string[] Urls);

    private static async Task<Created> CreateAsync(TestTenant tenant, string path, int parts)
    {
        var answer = await (await PostAsync(tenant.Developer, "create", new { path, num_parts = parts })).ShouldBeAsync(200);
        var credentials = answer.GetProperty("credentials").EnumerateArray().ToArray();
        credentials.Select(c => c.GetProperty("part_number").GetInt32()).ShouldBe(Enumerable.Range(1, parts));
        credentials.ShouldAllBe(c => c.GetProperty("headers").ValueKind == JsonValueKind.Object);
        return new(answer.GetProperty("upload_id").GetString()!, [.. credentials.Select(c => c.GetProperty("url").GetString()!)]);
    }

    private static async Task<string> PutAsync(HttpClient by, string url, byte[] part)
    {
        using var answer = await by.PutAsync(url, new ByteArrayContent(part));
        await answer.ShouldBeAsync(200);
        return answer.Headers.ETag!.Tag;
    }

    private static Task<HttpResponseMessage> PostAsync(HttpClient by, string what, object body) => by.PostAsJsonAsync($"mlflow/api/2.0/mlflow-artifacts/mpu/{what}/{Folder}", body);

    private static async Task RefusesAsync(TestTenant tenant, string what, object body, int status) => await (await PostAsync(tenant.Developer, what, body)).ShouldBeAsync(status);
}
