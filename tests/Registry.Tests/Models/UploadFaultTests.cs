using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using Google.Protobuf;
using Platform.Testing;
using Registry.Tests.Onnx;

namespace Registry.Tests.Models;

public sealed class UploadFaultTests
{
    private static readonly byte[] File = SmallModel.Make().ToByteArray();

    [Theory]
    [InlineData("registry/models/m/versions", "api/v1")]
    [InlineData("mlflow-artifacts/artifacts/0/half/artifacts/model.onnx", "mlflow/api/2.0")]
    public async Task A_sender_that_goes_away_in_the_middle_leaves_nothing(string path, string api)
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("m");
        var drafts = Path.Combine(tenant.App.Data, "blobs", tenant.Id, "drafts");
        using (var socket = new TcpClient())
        {
            await socket.ConnectAsync(tenant.App.Address.Host, tenant.App.Address.Port);
            var stream = socket.GetStream();
            await stream.WriteAsync(Encoding.ASCII.GetBytes(
                $"{(api == "api/v1" ? "POST" : "PUT")} /{api}/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tenant.DeveloperKey}\r\nContent-Type: application/octet-stream\r\nContent-Length: 50000000\r\n\r\n"));
            await stream.WriteAsync(new byte[4 << 20]);
            await Eventually.BecomesAsync("the upload to be under way", () => Task.FromResult(Directory.Exists(drafts) ? Directory.GetFiles(drafts).Length : 0), count => count == 1);
        }

        await Eventually.BecomesAsync("the draft to be gone", () => Task.FromResult(Directory.GetFiles(drafts).Length), count => count == 0);
        Directory.GetFiles(Path.Combine(tenant.App.Data, "blobs", tenant.Id), "*", SearchOption.AllDirectories).ShouldBeEmpty();
        (await (await tenant.Viewer.GetAsync($"{TestModels.Models}/m")).ShouldBeAsync(200)).GetProperty("versions").GetArrayLength().ShouldBe(0);
        (await (await tenant.Viewer.GetAsync("mlflow/api/2.0/mlflow-artifacts/artifacts?path=0")).ShouldBeAsync(200)).GetProperty("files").GetArrayLength().ShouldBe(0);
    }

    [Fact]
    public async Task The_same_upload_sent_twice_is_one_version()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("m");
        var key = Guid.NewGuid().ToString();
        var answers = new[] { await SendAsync(), await SendAsync() };
        var bodies = await Task.WhenAll(answers.Select(answer => answer.ShouldBeAsync(201)));
        bodies[1].ToString().ShouldBe(bodies[0].ToString());
        answers[1].Headers.GetValues("Idempotency-Replayed").ShouldBe(["true"]);

        // And at the same moment: one makes it, the other is told to wait or gets its answer.
        key = Guid.NewGuid().ToString();
        var both = await Task.WhenAll(SendAsync(), SendAsync());
        both.ShouldContain(answer => (int)answer.StatusCode == 201);
        both.ShouldAllBe(answer => (int)answer.StatusCode == 201 || (int)answer.StatusCode == 409);
        (await (await tenant.Viewer.GetAsync($"{TestModels.Models}/m")).ShouldBeAsync(200)).GetProperty("versions").GetArrayLength().ShouldBe(2);

        async Task<HttpResponseMessage> SendAsync()
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, $"{TestModels.Models}/m/versions") { Content = new ByteArrayContent(File) { Headers = { ContentType = new MediaTypeHeaderValue("application/octet-stream") } } };
            request.Headers.Add("Idempotency-Key", key);
            return await tenant.Developer.SendAsync(request);
        }
    }

    [Fact]
    public async Task Promotions_at_the_same_moment_are_done_one_after_the_other_and_the_last_holds()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterWithVersionAsync("m");
        await (await tenant.Developer.UploadAsync("m", File)).ShouldBeAsync(201);
        for (var round = 0; round < 5; round++)
        {
            var answers = await Task.WhenAll(tenant.Developer.SetAliasAsync("m", "candidate", 1), tenant.Developer.SetAliasAsync("m", "candidate", 2));
            foreach (var answer in answers) ((int)answer.StatusCode).ShouldBeOneOf(200, 409);
            answers.ShouldContain(answer => (int)answer.StatusCode == 200);
            var held = (await (await tenant.Viewer.GetAsync($"{TestModels.Models}/m")).ShouldBeAsync(200)).GetProperty("model").GetProperty("aliases").GetProperty("candidate").GetInt32();
            // What is served is what the history says.
            (await (await tenant.Viewer.GetAsync($"{TestModels.Models}/m/aliases/candidate")).ShouldBeAsync(200)).GetProperty("version").GetInt32().ShouldBe(held);
        }
    }
}
