using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using Platform.Registry.Tracking;
using Platform.Testing;

namespace Registry.Tests.Mlflow;

public sealed class ArtifactTests
{
    [Fact]
    public async Task Files_are_kept_listed_as_clients_expect_and_given_back()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        var root = $"0/{run}/artifacts";
        foreach (var path in new[] { "conf.json", "sub/f.txt", "sub/deep/er/g.txt", "späce & more/ü 100%.txt" })
        {
            var put = await (await tenant.Developer.PutFileAsync($"{root}/{string.Join('/', path.Split('/').Select(Uri.EscapeDataString))}", $"of {path}")).ShouldBeAsync(200);
            put.GetProperty("sha256").GetString().ShouldBe(Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"of {path}"))));
        }

        (await ListAsync(tenant, root)).ShouldBe(["conf.json:12", "späce & more/", "sub/"]);
        (await ListAsync(tenant, $"{root}/sub")).ShouldBe(["deep/", "f.txt:12"]);
        (await ListAsync(tenant, $"{root}/sub/f.txt")).ShouldBeEmpty();
        (await ListAsync(tenant, $"{root}/nothing")).ShouldBeEmpty();
        (await tenant.Viewer.GetStringAsync($"{TestMlflow.Files}/{root}/sub/deep/er/g.txt")).ShouldBe("of sub/deep/er/g.txt");
        (await tenant.Viewer.GetStringAsync($"{TestMlflow.Files}/{root}/sp%C3%A4ce%20%26%20more/%C3%BC%20100%25.txt")).ShouldBe("of späce & more/ü 100%.txt");
        (await tenant.Viewer.OkAsync("GET", $"artifacts/list?run_id={run}&path=sub")).GetProperty("files").EnumerateArray().Select(f => f.GetProperty("path").GetString()).ShouldBe(["sub/deep", "sub/f.txt"]);

        // Again under the same path is the newer content.
        await (await tenant.Developer.PutFileAsync($"{root}/conf.json", "{}")).ShouldBeAsync(200);
        (await tenant.Viewer.GetStringAsync($"{TestMlflow.Files}/{root}/conf.json")).ShouldBe("{}");
        await (await tenant.Developer.PutFileAsync($"{root}/sub", "a file where a folder is")).ShouldBeAsync(400);
        await (await tenant.Developer.PutFileAsync($"{root}/conf.json/x", "a file under a file")).ShouldBeAsync(400);

        await (await tenant.Developer.DeleteAsync($"{TestMlflow.Files}/{root}/sub")).ShouldBeAsync(200);
        (await ListAsync(tenant, root)).ShouldBe(["conf.json:2", "späce & more/"]);
        await (await tenant.Developer.DeleteAsync($"{TestMlflow.Files}/{root}/sub")).ShouldBeAsync(404);
        await (await tenant.Viewer.GetAsync($"{TestMlflow.Files}/{root}/sub/f.txt")).ShouldBeAsync(404);
        await (await tenant.Viewer.PutFileAsync($"{root}/x", "x")).ShouldBeAsync(403);
    }

    [Fact]
    public async Task A_large_file_passes_through_in_pieces_is_kept_once_and_can_be_read_in_part()
    {
        var tenant = await TestTenant.NewAsync();
        var content = new byte[40 << 20];
        new Random(3).NextBytes(content);
        foreach (var name in new[] { "a", "b" })
        {
            // Of unknown length, as a stream is.
            using var request = new HttpRequestMessage(HttpMethod.Put, $"{TestMlflow.Files}/0/r/artifacts/{name}") { Content = new StreamContent(new MemoryStream(content)) };
            request.Headers.TransferEncodingChunked = true;
            await (await tenant.Developer.SendAsync(request)).ShouldBeAsync(200);
        }

        Directory.GetFiles(Path.Combine(tenant.App.Data, "blobs", tenant.Id), "*", SearchOption.AllDirectories).Length.ShouldBe(1);
        (await tenant.Viewer.GetByteArrayAsync($"{TestMlflow.Files}/0/r/artifacts/b")).ShouldBe(content);
        foreach (var (range, from, to) in new[] { ("bytes=0-0", 0, 0), ("bytes=65530-65550", 65530, 65550), ("bytes=41943030-", 41943030, content.Length - 1), ("bytes=-10", content.Length - 10, content.Length - 1), ("bytes=5-99999999999", 5, content.Length - 1) })
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, $"{TestMlflow.Files}/0/r/artifacts/a") { Headers = { Range = RangeHeaderValue.Parse(range) } };
            using var answer = await tenant.Viewer.SendAsync(request);
            answer.StatusCode.ShouldBe(HttpStatusCode.PartialContent, range);
            answer.Content.Headers.ContentRange!.ToString().ShouldBe($"bytes {from}-{to}/{content.Length}");
            (await answer.Content.ReadAsByteArrayAsync()).ShouldBe(content[from..(to + 1)], range);
        }

        using var beyond = new HttpRequestMessage(HttpMethod.Get, $"{TestMlflow.Files}/0/r/artifacts/a") { Headers = { Range = RangeHeaderValue.Parse("bytes=41943040-") } };
        (await tenant.Viewer.SendAsync(beyond)).StatusCode.ShouldBe(HttpStatusCode.RequestedRangeNotSatisfiable);
        using var known = new HttpRequestMessage(HttpMethod.Get, $"{TestMlflow.Files}/0/r/artifacts/a") { Headers = { IfNoneMatch = { new EntityTagHeaderValue($"\"{Convert.ToHexStringLower(SHA256.HashData(content))}\"") } } };
        (await tenant.Viewer.SendAsync(known)).StatusCode.ShouldBe(HttpStatusCode.NotModified);
    }

    [Theory]
    [InlineData("..")]
    [InlineData("../x")]
    [InlineData("a/../../x")]
    [InlineData("%2e%2e/x")]
    [InlineData("..%2fx")]
    [InlineData("..%252fx")]
    [InlineData("..%25252fx")]
    [InlineData("a/%2e%2e%2f%2e%2e/x")]
    [InlineData("..%5cx")]
    [InlineData("a\\b")]
    [InlineData("/etc/passwd")]
    [InlineData("%2fetc/passwd")]
    [InlineData("a//b")]
    [InlineData("a/./b")]
    [InlineData("x\0y")]
    [InlineData("x%00y")]
    [InlineData("x%2500y")]
    [InlineData("")]
    public async Task A_path_that_leads_elsewhere_is_none_however_it_is_written(string path)
    {
        Artifacts.IsSound(path).ShouldBeFalse();
        var tenant = await TestTenant.NewAsync();
        await (await tenant.Viewer.GetAsync($"{TestMlflow.Files}?path={Uri.EscapeDataString(path)}")).ShouldBeAsync(path.Length == 0 ? 200 : 400);
        // Escaped once more than the path itself is, so that it arrives as it is here.
        // Two dots alone do not arrive: they are the client's own way to another address.
        if (path.Length > 0) (await tenant.Developer.PutFileAsync(Uri.EscapeDataString(path), "x")).StatusCode.ShouldBeOneOf(HttpStatusCode.BadRequest, HttpStatusCode.NotFound);
        await tenant.Developer.OkAsync("POST", "registered-models/create", new { name = "m" });
        foreach (var source in new[] { $"mlflow-artifacts:/{path}", $"mlflow-artifacts://host:5000/{path}", $"s3://bucket/{path}/x", $"file:///{path}", $"/{path}", path, $"./{path}" })
        {
            // What begins with a slash is there a host's name, or an empty name among a bucket's, and neither is a way up.
            if (source.StartsWith("s3", StringComparison.Ordinal) && path is "" or "a//b" or "/etc/passwd" or "%2fetc/passwd") continue;
            if (source == "mlflow-artifacts://etc/passwd") continue;
            var answer = await tenant.Developer.SendAsync("POST", "model-versions/create", new { name = "m", source });
            answer.StatusCode.ShouldBe(HttpStatusCode.BadRequest, source);
        }
    }

    [Fact]
    public async Task A_file_over_the_operators_limit_is_refused_and_not_kept()
    {
        await using var app = await PlatformApp.StartOwnAsync(new Dictionary<string, string> { ["PLATFORM_MAX_ARTIFACT_BYTES"] = "1000" });
        var tenant = await TestTenant.NewAsync(app);
        await (await tenant.Developer.PutFileAsync("0/r/artifacts/a", new byte[1_000])).ShouldBeAsync(200);
        await (await tenant.Developer.PutFileAsync("0/r/artifacts/b", new byte[1_001])).ShouldBeAsync(413);
        (await ListAsync(tenant, "0/r/artifacts")).ShouldBe(["a:1000"]);
    }

    private static async Task<string[]> ListAsync(TestTenant tenant, string path)
    {
        var listed = await (await tenant.Viewer.GetAsync($"{TestMlflow.Files}?path={Uri.EscapeDataString(path)}")).ShouldBeAsync(200);
        return [.. listed.GetProperty("files").EnumerateArray().Select(f => f.GetProperty("path").GetString() + (f.GetProperty("is_dir").GetBoolean() ? "/" : $":{f.GetProperty("file_size").GetInt64()}")).Order(StringComparer.Ordinal)];
    }
}
