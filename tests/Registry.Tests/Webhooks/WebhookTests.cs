using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Platform.Kernel;
using Platform.Registry.Webhooks;
using Platform.Testing;
using Registry.Tests.Mlflow;
using Registry.Tests.Models;

namespace Registry.Tests.Webhooks;

public sealed class WebhookTests
{
    private const string Hooks = "api/v1/registry/webhooks";

    [Fact]
    public void Requests_are_signed_as_mlflow_signs() =>
        WebhookSender.Signature("my-webhook-secret", "11111111-2222-3333-4444-555555555555", "1704067200", """{"entity":"registered_model","action":"created","data":{"name":"m"}}""")
            .ShouldBe("v1,5sj65iWHI+j7kgV0w3tlN7LlwWyamuKy4Ay6Pc9KSQo=");

    [Fact]
    public async Task Everything_that_happens_is_told_in_order_signed_and_once_in_the_history()
    {
        await using var receiver = await Receiver.StartAsync();
        var tenant = await TestTenant.NewAsync(await AllowedAsync());
        var hook = await CreateAsync(tenant, receiver.Url, secret: "s3cret");
        await tenant.Developer.OkAsync("POST", "registered-models/create", new { name = "m", description = "d", tags = new[] { new { key = "k", value = "v" } } });
        await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = "m", source = "s3://elsewhere/model", tags = new[] { new { key = "a", value = "1" } } });
        await tenant.Developer.OkAsync("POST", "model-versions/set-tag", new { name = "m", version = "1", key = "a", value = "2" });
        await tenant.Developer.OkAsync("POST", "model-versions/set-tag", new { name = "m", version = "1", key = "b", value = "3" });
        await tenant.Developer.OkAsync("DELETE", "model-versions/delete-tag", new { name = "m", version = "1", key = "a" });
        // An alias that the platform's own API moves is told of like one that a client of MLflow moves.
        await (await tenant.Developer.PutAsJsonAsync("api/v1/registry/models/m/aliases/challenger", new { version = 1 })).ShouldBeAsync(200);
        await tenant.Developer.OkAsync("DELETE", "registered-models/alias", new { name = "m", alias = "challenger" });

        await Eventually.BecomesAsync("seven deliveries", () => Task.FromResult(receiver.Got.Count), count => count >= 7);
        receiver.Got.Select(g => $"{g.Body.GetProperty("entity").GetString()}.{g.Body.GetProperty("action").GetString()} {g.Body.GetProperty("data")}").ShouldBe(
        [
            """registered_model.created {"name":"m","tags":{"k":"v"},"description":"d"}""",
            """model_version.created {"name":"m","version":"1","source":"s3://elsewhere/model","run_id":null,"tags":{"a":"1"},"description":null}""",
            """model_version_tag.set {"name":"m","version":"1","key":"a","value":"2"}""",
            """model_version_tag.set {"name":"m","version":"1","key":"b","value":"3"}""",
            """model_version_tag.deleted {"name":"m","version":"1","key":"a"}""",
            """model_version_alias.created {"name":"m","alias":"challenger","version":"1"}""",
            """model_version_alias.deleted {"name":"m","alias":"challenger"}""",
        ]);
        foreach (var got in receiver.Got) got.Signature.ShouldBe(WebhookSender.Signature("s3cret", got.Id, got.Timestamp, got.Text));

        var history = await Eventually.BecomesAsync("the history", () => DeliveriesAsync(tenant, hook), d => d.All(one => one.GetProperty("state").GetString() == "delivered"));
        history.Length.ShouldBe(7);
        history.Select(d => d.GetProperty("id").GetString()).Reverse().ShouldBe(receiver.Got.Select(g => g.Id));
        var replayed = await (await tenant.Admin.PostAsJsonAsync($"{Hooks}/{hook}/replay", new { deliveries = new[] { history[^1].GetProperty("id").GetGuid() } })).ShouldBeAsync(202);
        replayed.GetProperty("deliveries").GetInt32().ShouldBe(1);
        await Eventually.BecomesAsync("the replay", () => Task.FromResult(receiver.Got.Count), count => count == 8);
        receiver.Got[^1].Id.ShouldBe(receiver.Got[0].Id);
        receiver.Got[^1].Text.ShouldBe(receiver.Got[0].Text);
    }

    [Fact]
    public async Task What_fails_is_tried_again_by_the_clock_while_what_follows_waits_and_at_last_the_webhook_is_disabled()
    {
        await using var receiver = await Receiver.StartAsync();
        var tenant = await TestTenant.NewAsync(await AllowedAsync());
        var hook = await CreateAsync(tenant, receiver.Url);
        receiver.Status = 503;
        var clock = new StoppedClock();
        var store = ActivatorUtilities.CreateInstance<WebhookStore>(tenant.App.Services, clock);
        // Its own deliveries, so that the host's workers, who go by the real time, come to none of them.
        var first = clock.Now.AddDays(1);
        await store.QueueAsync(tenant.Id, [One(hook, 1, first), One(hook, 2, first)], default);
        clock.Now = first;

        for (var i = 0; i < DeliverWebhook.Pauses.Count; i++)
        {
            await RunAsync(tenant, hook, clock);
            receiver.Got.Count.ShouldBe(i + 1);
            clock.Now += DeliverWebhook.Pauses[i] - TimeSpan.FromSeconds(1);
            await RunAsync(tenant, hook, clock);
            receiver.Got.Count.ShouldBe(i + 1);
            clock.Now += TimeSpan.FromSeconds(1);
        }

        receiver.Got.Select(g => g.Id).Distinct().ShouldHaveSingleItem();
        (await DeliveriesAsync(tenant, hook))[^1].GetProperty("lastStatus").GetInt32().ShouldBe(503);
        await RunAsync(tenant, hook, clock);
        var disabled = await (await tenant.Admin.GetAsync($"{Hooks}/{hook}")).ShouldBeAsync(200);
        disabled.GetProperty("active").GetBoolean().ShouldBeFalse();
        disabled.GetProperty("disabledBecause").GetString()!.ShouldContain("has failed 9 times, at last with: It answered 503.");
        disabled.GetProperty("waiting").GetInt64().ShouldBe(1);
        (await tenant.Admin.OkAsync("GET", $"webhooks/{hook}")).GetProperty("webhook").GetProperty("status").GetString().ShouldBe("DISABLED");
        await RunAsync(tenant, hook, clock);
        receiver.Got.Count.ShouldBe(9);

        // Mended and made active again, it hears what waited; what was given up comes again when asked for.
        receiver.Status = 200;
        (await tenant.Admin.OkAsync("PATCH", $"webhooks/{hook}", new { status = "ACTIVE" })).GetProperty("webhook").GetProperty("status").GetString().ShouldBe("ACTIVE");
        await RunAsync(tenant, hook, clock);
        receiver.Got[^1].Id.ShouldNotBe(receiver.Got[0].Id);
        await (await tenant.Admin.PostAsJsonAsync($"{Hooks}/{hook}/replay", new { })).ShouldBeAsync(202);
        await Eventually.BecomesAsync("the replay", () => DeliveriesAsync(tenant, hook), d => d.All(one => one.GetProperty("state").GetString() == "delivered"));
        receiver.Got[^1].Id.ShouldBe(receiver.Got[0].Id);
    }

    [Fact]
    public async Task A_job_that_is_killed_in_the_middle_leaves_the_delivery_to_the_next_and_two_at_once_do_not_send_twice()
    {
        var tenant = await TestTenant.NewAsync(await AllowedAsync());
        var hook = await CreateAsync(tenant, "https://example.com/hook");
        var clock = new StoppedClock { Now = DateTimeOffset.UtcNow.AddDays(1) };
        var store = ActivatorUtilities.CreateInstance<WebhookStore>(tenant.App.Services, clock);
        await store.QueueAsync(tenant.Id, [One(hook, 1, clock.Now), One(hook, 2, clock.Now)], default);
        await store.QueueAsync(tenant.Id, [One(hook, 1, clock.Now)], default);
        var hold = TimeSpan.FromSeconds(30);
        var claims = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => store.ClaimAsync(tenant.Id, hook, hold, default)));
        claims.Count(c => c is not null).ShouldBe(1);
        claims.Single(c => c is not null)!.Sequence.ShouldBe(1);
        (await store.NextAsync(tenant.Id, hook, default))!.Value.ToUnixTimeMilliseconds().ShouldBe((clock.Now + hold).ToUnixTimeMilliseconds());
        clock.Now += hold;
        (await store.ClaimAsync(tenant.Id, hook, hold, default))!.Attempts.ShouldBe(2);
    }

    [Fact]
    public async Task What_could_not_be_delivered_before_the_platform_was_stopped_is_delivered_after_it_is_started_again()
    {
        await using var receiver = await Receiver.StartAsync();
        receiver.Status = 503;
        var first = await PlatformApp.StartOwnAsync(new Dictionary<string, string> { ["PLATFORM_WEBHOOK_HOSTS"] = "127.0.0.1" });
        var tenant = await TestTenant.NewAsync(first);
        await CreateAsync(tenant, receiver.Url);
        await tenant.RegisterAsync("m");
        await Eventually.BecomesAsync("the first try", () => Task.FromResult(receiver.Got.Count), count => count > 0);
        await first.DisposeAsync();

        receiver.Status = 200;
        var before = receiver.Got.Count;
        await using var second = first.StartAnother();
        await Eventually.BecomesAsync("the delivery", () => Task.FromResult(receiver.Got.Count), count => count > before);
        receiver.Got[^1].Id.ShouldBe(receiver.Got[0].Id);
        receiver.Got[^1].Body.GetProperty("data").GetProperty("name").GetString().ShouldBe("m");
    }

    [Fact]
    public async Task Addresses_within_are_not_called_unless_the_operator_names_them_nor_redirects_followed()
    {
        await using var receiver = await Receiver.StartAsync();
        var tenant = await TestTenant.NewAsync();
        foreach (var url in new[] { "http://example.com/x", receiver.Url, "https://127.0.0.1/x", "https://[::1]/x", "https://10.1.2.3/x", "https://169.254.169.254/latest", "https://localhost/x", "ftp://example.com/x", "https://user:pass@example.com/x", "nonsense", "https:///x" })
        {
            var refused = await (await tenant.Admin.PostAsJsonAsync(Hooks, new { name = "h", url, events = new[] { WebhookEvents.ModelCreated } })).ShouldBeAsync(400);
            refused.GetProperty("field").GetString().ShouldBe("url", url);
        }

        // A name that looks public and stands for an address within is found out when it is called.
        var sender = ActivatorUtilities.CreateInstance<WebhookSender>(tenant.App.Services);
        var within = new Webhook(Guid.NewGuid(), "h", null, $"https://{Dns.GetHostName()}:{new Uri(receiver.Url).Port}/x", [], null, true, null, 0, 0, 0);
        (await sender.SendAsync(tenant.Id, within, Guid.NewGuid(), "{}", default)).Error!.ShouldContain("has no address that may be called from here");
        receiver.Got.ShouldBeEmpty();

        var allowed = await TestTenant.NewAsync(await AllowedAsync());
        receiver.Status = 302;
        var hook = await CreateAsync(allowed, receiver.Url);
        var outcome = await (await allowed.Admin.PostAsJsonAsync($"{Hooks}/{hook}/test", new { })).ShouldBeAsync(200);
        outcome.GetProperty("success").GetBoolean().ShouldBeFalse();
        outcome.GetProperty("error").GetString()!.ShouldContain("redirects are not followed");
        receiver.Got.ShouldHaveSingleItem();
    }

    [Fact]
    public async Task Mlflows_calls_do_what_its_client_expects_and_the_secret_is_never_shown_nor_stored_in_clear()
    {
        await using var receiver = await Receiver.StartAsync();
        var tenant = await TestTenant.NewAsync(await AllowedAsync());
        var created = (await tenant.Admin.OkAsync("POST", "webhooks", new
        {
            name = "ci",
            url = receiver.Url,
            secret = "a-very-secret-word",
            description = "builds",
            events = new[] { new { entity = "MODEL_VERSION", action = "CREATED" }, new { entity = "MODEL_VERSION_ALIAS", action = "CREATED" } },
        })).GetProperty("webhook");
        created.ToString().ShouldNotContain("secret");
        var id = created.GetProperty("webhook_id").GetString();
        created.GetProperty("events").ToString().ShouldBe("""[{"entity":"MODEL_VERSION","action":"CREATED"},{"entity":"MODEL_VERSION_ALIAS","action":"CREATED"}]""");
        created.GetProperty("status").GetString().ShouldBe("ACTIVE");

        var result = (await tenant.Admin.OkAsync("POST", $"webhooks/{id}/test", new { @event = new { entity = "MODEL_VERSION_ALIAS", action = "CREATED" } })).GetProperty("result");
        result.GetProperty("success").GetBoolean().ShouldBeTrue(result.ToString());
        result.GetProperty("response_status").GetInt32().ShouldBe(200);
        var got = receiver.Got.ShouldHaveSingleItem();
        got.Body.GetProperty("data").ToString().ShouldBe("""{"name":"example_model","alias":"example_alias","version":"1"}""");
        got.Signature.ShouldBe(WebhookSender.Signature("a-very-secret-word", got.Id, got.Timestamp, got.Text));

        (await tenant.Admin.OkAsync("PATCH", $"webhooks/{id}", new { description = "other", status = "DISABLED" })).GetProperty("webhook").GetProperty("description").GetString().ShouldBe("other");
        (await tenant.Admin.OkAsync("GET", "webhooks?max_results=1")).GetProperty("webhooks").GetArrayLength().ShouldBe(1);
        (await tenant.Admin.GetStringAsync(Hooks)).ShouldNotContain("a-very-secret-word");
        var store = tenant.App.Services.GetRequiredService<WebhookStore>();
        var kept = (await store.FindAsync(tenant.Id, Guid.Parse(id!), default)).Value;
        System.Text.Encoding.UTF8.GetString(kept.Secret!).ShouldNotContain("a-very-secret-word");

        await tenant.Admin.RefusesAsync("POST", "webhooks", new { name = "-bad", url = "https://example.com", events = new[] { new { entity = "MODEL_VERSION", action = "CREATED" } } }, 400, "INVALID_PARAMETER_VALUE");
        await tenant.Admin.RefusesAsync("POST", "webhooks", new { name = "ok", url = "https://example.com", events = new[] { new { entity = "PROMPT", action = "CREATED" } } }, 400, "INVALID_PARAMETER_VALUE");
        await tenant.Admin.RefusesAsync("POST", "webhooks", new { name = "ok", url = "https://example.com" }, 400, "INVALID_PARAMETER_VALUE");
        await tenant.Developer.RefusesAsync("GET", "webhooks", null, 403, "PERMISSION_DENIED");
        await tenant.Admin.OkAsync("DELETE", $"webhooks/{id}");
        await tenant.Admin.RefusesAsync("GET", $"webhooks/{id}", null, 404, "RESOURCE_DOES_NOT_EXIST");
        await tenant.Admin.RefusesAsync("GET", "webhooks/nonsense", null, 404, "RESOURCE_DOES_NOT_EXIST");
    }

    private static readonly Lazy<Task<PlatformApp>> Allowed = new(() => PlatformApp.StartOwnAsync(new Dictionary<string, string> { ["PLATFORM_WEBHOOK_HOSTS"] = "127.0.0.1" }));

    /// <summary>A host whose operator lets webhooks call this machine.</summary>
    private static Task<PlatformApp> AllowedAsync() => Allowed.Value;

    private static async Task<Guid> CreateAsync(TestTenant tenant, string url, string? secret = null) =>
        (await (await tenant.Admin.PostAsJsonAsync(Hooks, new { name = "h", url, secret, events = WebhookEvents.Examples.Keys })).ShouldBeAsync(201)).GetProperty("id").GetGuid();

    private static async Task<JsonElement[]> DeliveriesAsync(TestTenant tenant, Guid hook) =>
        [.. (await (await tenant.Admin.GetAsync($"{Hooks}/{hook}/deliveries")).ShouldBeAsync(200)).GetProperty("deliveries").EnumerateArray()];

    private static Delivery One(Guid hook, int number, DateTimeOffset due) =>
        new(new Guid(number, 0, 0, hook.ToByteArray()[8..]), hook, number, WebhookEvents.ModelCreated, "{}", due.ToUnixTimeMilliseconds(), "PENDING", 0, 0, null, null, null);

    private static async Task RunAsync(TestTenant tenant, Guid hook, StoppedClock clock)
    {
        await using var scope = tenant.App.Services.CreateAsyncScope();
        scope.ServiceProvider.GetRequiredService<CallerScope>().Begin(Caller.System(tenant.Id));
        var store = ActivatorUtilities.CreateInstance<WebhookStore>(scope.ServiceProvider, clock);
        await ActivatorUtilities.CreateInstance<DeliverWebhook>(scope.ServiceProvider, store, clock).RunAsync(new(hook), default);
    }

    private sealed record Received(string Id, string Timestamp, string? Signature, string Text)
    {
        public JsonElement Body => JsonDocument.Parse(Text).RootElement;
    }

    /// <summary>A server that a webhook names.</summary>
    private sealed class Receiver(WebApplication app) : IAsyncDisposable
    {
        private readonly ConcurrentQueue<Received> got = new();

        public int Status { get; set; } = 200;

        public string Url => app.Urls.Single() + "/hook";

        public IReadOnlyList<Received> Got => [.. got];

        public static async Task<Receiver> StartAsync()
        {
            var builder = WebApplication.CreateSlimBuilder();
            builder.Logging.ClearProviders();
            builder.WebHost.UseUrls("http://127.0.0.1:0");
            var app = builder.Build();
            var receiver = new Receiver(app);
            app.MapPost("/hook", async (HttpRequest request) =>
            {
                var text = await new StreamReader(request.Body).ReadToEndAsync();
                receiver.got.Enqueue(new(request.Headers["X-MLflow-Delivery-Id"].ToString(), request.Headers["X-MLflow-Timestamp"].ToString(), request.Headers["X-MLflow-Signature"].FirstOrDefault(), text));
                if (receiver.Status == 302) request.HttpContext.Response.Headers.Location = "/hook";
                return Results.StatusCode(receiver.Status);
            });
            await app.StartAsync();
            return receiver;
        }

        public ValueTask DisposeAsync() => app.DisposeAsync();
    }
}
