using Platform.Testing;
using Registry.Tests.Mlflow;

namespace Registry.Tests.Runs;

public sealed class RunArtifactTests
{
    [Theory]
    [InlineData("page.html", "<script>alert(1)</script>")]
    [InlineData("picture.svg", "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")]
    [InlineData("page.xhtml", "<html xmlns='http://www.w3.org/1999/xhtml'/>")]
    [InlineData("page.xml", "<?xml version='1.0'?>")]
    [InlineData("script.js", "alert(1)")]
    [InlineData("notes", "<html>")]
    [InlineData("page.pdf", "%PDF-1.4")]
    public async Task What_could_run_in_a_browser_is_sent_as_a_file_to_keep_in_a_sandbox_and_under_no_type_of_its_own(string name, string content)
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        await (await tenant.Developer.PutFileAsync($"0/{run}/artifacts/out/{name}", content)).ShouldBeAsync(200);
        using var answer = await tenant.Viewer.GetAsync($"api/v1/registry/runs/{run}/artifacts/out/{name}");
        await answer.ShouldBeAsync(200);
        answer.Content.Headers.ContentType!.MediaType.ShouldBe("application/octet-stream");
        answer.Content.Headers.ContentDisposition!.DispositionType.ShouldBe("attachment");
        answer.Headers.GetValues("X-Content-Type-Options").ShouldBe(["nosniff"]);
        answer.Headers.GetValues("Content-Security-Policy").Single().ShouldStartWith("sandbox; default-src 'none'");
        (await answer.Content.ReadAsStringAsync()).ShouldBe(content);
    }

    [Fact]
    public async Task A_picture_of_pixels_may_be_shown_and_even_so_nothing_in_it_is_guessed_to_be_a_page()
    {
        var tenant = await TestTenant.NewAsync();
        var run = await tenant.NewRunAsync();
        await (await tenant.Developer.PutFileAsync($"0/{run}/artifacts/plot.png", "<html><script>alert(1)</script>")).ShouldBeAsync(200);
        using var answer = await tenant.Viewer.GetAsync($"api/v1/registry/runs/{run}/artifacts/plot.png");
        await answer.ShouldBeAsync(200);
        answer.Content.Headers.ContentType!.MediaType.ShouldBe("image/png");
        answer.Headers.GetValues("X-Content-Type-Options").ShouldBe(["nosniff"]);
        answer.Headers.GetValues("Content-Security-Policy").Single().ShouldStartWith("sandbox");
    }

    [Fact]
    public async Task Artifacts_are_listed_folder_by_folder_and_only_of_the_run_that_is_asked_for()
    {
        var (tenant, stranger) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        var run = await tenant.NewRunAsync();
        var other = await tenant.NewRunAsync();
        await (await tenant.Developer.PutFileAsync($"0/{run}/artifacts/a.txt", "x")).ShouldBeAsync(200);
        await (await tenant.Developer.PutFileAsync($"0/{run}/artifacts/out/b%20c.txt", "xyz")).ShouldBeAsync(200);
        await (await tenant.Developer.PutFileAsync($"0/{other}/artifacts/secret.txt", "s")).ShouldBeAsync(200);
        var url = $"api/v1/registry/runs/{run}/artifacts";

        (await ListAsync("")).ShouldBe([("a.txt", 1L), ("out", null)]);
        (await ListAsync("?path=out")).ShouldBe([("out/b c.txt", 3L)]);
        (await tenant.Viewer.GetStringAsync($"{url}/out/b%20c.txt")).ShouldBe("xyz");
        foreach (var way in (string[])[$"%2e%2e/{other}/artifacts/secret.txt", $"..%2F..%2F{other}%2Fartifacts%2Fsecret.txt", "out/../../x", "out%5C..%5Cx"])
        {
            ((int)(await tenant.Viewer.GetAsync($"{url}/{way}")).StatusCode).ShouldBeOneOf(400, 404);
        }

        await (await tenant.Viewer.GetAsync($"{url}?path=..")).ShouldRefuseAsync(400, "bad-path");
        await (await tenant.Viewer.GetAsync($"{url}/none.txt")).ShouldRefuseAsync(404, "no-such-artifact");
        await (await stranger.Viewer.GetAsync($"{url}/a.txt")).ShouldRefuseAsync(404, "no-such-run");
        await (await stranger.Viewer.GetAsync(url)).ShouldRefuseAsync(404, "no-such-run");
        await (await tenant.App.ClientWith(null).GetAsync(url)).ShouldRefuseAsync(401, "no-credential");

        async Task<(string?, long?)[]> ListAsync(string query) => [.. (await (await tenant.Viewer.GetAsync(url + query)).ShouldBeAsync(200)).EnumerateArray()
            .Select(e => (e.GetProperty("path").GetString(), e.GetProperty("bytes").ValueKind is System.Text.Json.JsonValueKind.Null ? (long?)null : e.GetProperty("bytes").GetInt64()))];
    }
}
