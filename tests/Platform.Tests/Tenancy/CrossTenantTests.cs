using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Patterns;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Platform.Kernel;
using Platform.Testing;

namespace Platform.Tests.Tenancy;

/// <summary>Law 7: every endpoint, called by one tenant with another's identifiers, answers as if they did not exist.</summary>
public sealed class CrossTenantTests
{
    [Fact]
    public async Task Nothing_of_another_tenant_can_be_seen_touched_or_even_told_from_nothing()
    {
        var theirs = await WithLoggedThingsAsync(await WholeTenant.BuildAsync());
        var mine = await TestTenant.NewAsync();
        var routes = mine.App.Services.GetRequiredService<EndpointDataSource>();
        var (walked, faults) = await WalkAsync(mine.Admin, routes, theirs);
        walked.ShouldBeGreaterThan(20);
        faults.ShouldBeEmpty();

        var (logged, loggedFaults) = await WalkMlflowAsync(mine.Admin, routes, theirs);
        logged.ShouldBeGreaterThan(60);
        loggedFaults.ShouldBeEmpty();
        // What was tried is theirs still, and whole.
        var run = await (await theirs.Tenant.Viewer.GetAsync($"mlflow/api/2.0/mlflow/runs/get?run_id={theirs["run"]}")).ShouldBeAsync(200);
        run.ToString().ShouldContain(Marker);
        (await theirs.Tenant.Viewer.GetStringAsync($"mlflow/api/2.0/mlflow-artifacts/artifacts/{theirs["path"]}")).ShouldContain(Marker);
    }

    [Fact]
    public async Task A_route_that_answers_for_another_tenant_or_tells_that_something_is_there_is_noticed()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        await using var broken = builder.Build();
        broken.MapGet("/api/v1/broken/open/{thing}", (string thing) => thing == "theirs" ? Results.Ok() : Results.NotFound()).Needs("broken:read");
        broken.MapDelete("/api/v1/broken/telling/{thing}", (string thing) => thing == "theirs" ? Results.StatusCode(403) : Results.NotFound()).Needs("broken:read");
        broken.MapGet("/api/v1/broken/sound/{thing}", () => Results.NotFound()).Needs("broken:read");
        await broken.StartAsync();
        using var mine = new HttpClient { BaseAddress = new Uri(broken.Urls.Single()) };

        var (walked, faults) = await WalkAsync(mine, broken.Services.GetRequiredService<EndpointDataSource>(), new Dictionary<string, string> { ["thing"] = "theirs" });
        walked.ShouldBe(3);
        faults.Select(fault => fault.Split(' ')[1]).ShouldBe(["/api/v1/broken/open/{thing}", "/api/v1/broken/telling/{thing}"], ignoreOrder: true);
    }

    [Fact]
    public async Task A_route_of_mlflows_dialect_that_answers_for_another_tenant_is_noticed()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        await using var broken = builder.Build();
        broken.MapGet("/mlflow/api/2.0/mlflow/open", (string run_id) => run_id == "theirs" ? Results.Ok() : Results.NotFound()).Needs("broken:read");
        broken.MapPost("/mlflow/api/2.0/mlflow/all", () => Results.Ok(new { found = Marker })).Needs("broken:read");
        broken.MapPost("/mlflow/api/2.0/mlflow/sound", () => Results.NotFound()).Needs("broken:read");
        await broken.StartAsync();
        using var mine = new HttpClient { BaseAddress = new Uri(broken.Urls.Single()) };

        var (walked, faults) = await WalkMlflowAsync(mine, broken.Services.GetRequiredService<EndpointDataSource>(), new Known(null!, new Dictionary<string, string> { ["run"] = "theirs" }));
        walked.ShouldBe(3);
        faults.Select(fault => fault.Split(' ')[1]).ShouldBe(["/mlflow/api/2.0/mlflow/open", "/mlflow/api/2.0/mlflow/all"], ignoreOrder: true);
    }

    /// <summary>In everything of theirs that has a text, so that an answer which shows any of it is known.</summary>
    private const string Marker = "only-theirs-7d1f";

    private sealed record Known(TestTenant Tenant, IReadOnlyDictionary<string, string> Ids)
    {
        public string this[string name] => Ids[name];

        public string? Find(string name) => Ids.GetValueOrDefault(name);
    }

    /// <summary>The tenant with what only MLflow's clients make.</summary>
    private static async Task<Known> WithLoggedThingsAsync(WholeTenant whole)
    {
        var (tenant, ids) = (whole.Tenant, new Dictionary<string, string>(whole.Ids));
        var (run, experiment) = (ids["run"], ids["experiment"]);
        await PostAsync("runs/log-batch", new { run_id = run, tags = new[] { new { key = "t", value = Marker } }, @params = new[] { new { key = "k", value = Marker } }, metrics = new[] { new { key = "k", value = 1, timestamp = 1 } } });
        ids["modelId"] = (await PostAsync("logged-models", new { experiment_id = experiment, name = Marker, tags = new[] { new { key = "k", value = Marker } } })).GetProperty("model").GetProperty("info").GetProperty("model_id").GetString()!;
        ids["path"] = $"{experiment}/{run}/artifacts/{Marker}.txt";
        await (await tenant.Developer.PutAsync($"mlflow/api/2.0/mlflow-artifacts/artifacts/{ids["path"]}", new StringContent(Marker))).ShouldBeAsync(200);
        ids["upload"] = (await (await tenant.Developer.PostAsJsonAsync($"mlflow/api/2.0/mlflow-artifacts/mpu/create/{ids["path"]}", new { path = "f", num_parts = 1 })).ShouldBeAsync(200)).GetProperty("upload_id").GetString()!;
        ids["webhook"] = (await (await tenant.Admin.PostAsJsonAsync("api/v1/registry/webhooks", new { name = "theirs", url = "https://example.com", description = Marker, active = false, events = new[] { "model_version.created" } })).ShouldBeAsync(201))
            .GetProperty("id").GetString()!;
        ids["name"] = WholeTenant.Model;
        await (await tenant.Admin.PutAsJsonAsync($"api/v1/registry/retention/holds/model/{WholeTenant.Model}", new { reason = Marker })).ShouldBeAsync(200);
        return new(tenant, ids);

        async Task<JsonElement> PostAsync(string path, object body) => await (await tenant.Developer.PostAsJsonAsync($"mlflow/api/2.0/mlflow/{path}", body)).ShouldBeAsync(200);
    }

    /// <summary>Identifiers stand in the query and the body, and what begins something or puts it succeeds; so real and made-up ones must have the same answer, and none may show
    /// what is theirs. What makes things of mine comes last, because it would be found under the same names.</summary>
    private static async Task<(int Walked, List<string> Faults)> WalkMlflowAsync(HttpClient mine, EndpointDataSource routes, Known theirs)
    {
        List<string> faults = [];
        var endpoints = (
            from endpoint in routes.Endpoints.OfType<RouteEndpoint>()
            where endpoint.Metadata.GetMetadata<NeedsAttribute>() is not null && endpoint.RoutePattern.RawText!.TrimStart('/').StartsWith("mlflow/api/2.0/", StringComparison.Ordinal)
            from method in endpoint.Metadata.GetMetadata<HttpMethodMetadata>()!.HttpMethods
            let path = endpoint.RoutePattern.RawText!
            let makes = method == "PUT" || (method == "POST" && (path.EndsWith("/create", StringComparison.Ordinal) || path.Contains("/create/", StringComparison.Ordinal) || path.EndsWith("/webhooks", StringComparison.Ordinal)))
            orderby makes, path.EndsWith("experiments/create", StringComparison.Ordinal) || path.EndsWith("registered-models/create", StringComparison.Ordinal)
            select (Method: method, endpoint.RoutePattern)).ToArray();
        foreach (var (method, pattern) in endpoints)
        {
            var real = await MlflowAsync(mine, method, pattern, theirs.Find);
            var madeUp = await MlflowAsync(mine, method, pattern, _ => null);
            var what = $"{method} {pattern.RawText}";
            if (real.Body.Contains(Marker, StringComparison.Ordinal) && !real.Echoes) faults.Add($"{what} shows what is theirs: {real.Body}");
            else if (real.Answer != madeUp.Answer) faults.Add($"{what} answered {real.Answer} where something made up gets {madeUp.Answer}");
        }

        return (endpoints.Length, faults);
    }

    private static async Task<(Answer Answer, string Body, bool Echoes)> MlflowAsync(HttpClient client, string method, RoutePattern pattern, Func<string, string?> known)
    {
        string Id(string name, string madeUp) => known(name) ?? madeUp;
        var (run, experiment, model, webhook) = (Id("run", new string('a', 32)), Id("experiment", "4711"), Id("name", "made-up"), Id("webhook", Guid.NewGuid().ToString()));
        var values = new Dictionary<string, object>
        {
            ["run_id"] = run,
            ["run_uuid"] = run,
            ["run_ids"] = new[] { run },
            ["experiment_id"] = experiment,
            ["experiment_ids"] = new[] { experiment },
            ["experiment_name"] = known("experiment") is null ? "made-up" : "prices",
            ["name"] = model,
            ["new_name"] = "another",
            ["version"] = "1",
            ["alias"] = "champion",
            ["model_id"] = Id("modelId", "m-" + new string('b', 32)),
            ["upload_id"] = Id("upload", Guid.NewGuid().ToString()),
            ["path"] = "f",
            ["source"] = $"runs:/{run}/model",
            ["key"] = "k",
            ["value"] = "1",
            ["timestamp"] = 1,
            ["metric_key"] = "k",
            ["stage"] = "Staging",
            ["model_json"] = """{"artifact_path":"a","utc_time_created":"b","flavors":{}}""",
            ["parts"] = new[] { new { part_number = 1, etag = new string('0', 64) } },
            ["url"] = "https://example.com",
            ["events"] = new[] { new { entity = "MODEL_VERSION", action = "CREATED" } },
            ["status"] = pattern.RawText!.Contains("logged-models", StringComparison.Ordinal) ? "LOGGED_MODEL_READY" : pattern.RawText.Contains("webhooks", StringComparison.Ordinal) ? "DISABLED" : "FINISHED",
        };
        var path = string.Join('/', pattern.PathSegments.Select(segment => segment.Parts[0] switch
        {
            RoutePatternLiteralPart text => text.Content,
            RoutePatternParameterPart { Name: "path" } => Id("path", "4711/made/up/f.txt"),
            RoutePatternParameterPart { Name: "modelId" } => values["model_id"],
            RoutePatternParameterPart { Name: "webhook" } => webhook,
            RoutePatternParameterPart { Name: "key" } => "k",
            _ => "x",
        }));
        if (method == "GET")
        {
            var query = values.Where(v => v.Key != "path" || pattern.RawText.EndsWith("list", StringComparison.Ordinal)).SelectMany(v => v.Value is string[] many ? many.Select(one => (v.Key, one)) : [(v.Key, v.Value.ToString()!)]);
            path += "?" + string.Join('&', query.Select(v => $"{v.Key}={Uri.EscapeDataString(v.Item2)}"));
        }

        using var request = new HttpRequestMessage(new HttpMethod(method), path) { Content = method == "GET" ? null : JsonContent.Create(values) };
        using var answer = await client.SendAsync(request);
        var body = await answer.Content.ReadAsStringAsync();
        var code = body.StartsWith('{') && JsonDocument.Parse(body).RootElement.TryGetProperty("error_code", out var c) ? c.GetString() : null;
        // A refusal repeats the path it was asked for.
        return (new((int)answer.StatusCode, code), body, code is not null);
    }

    private static async Task<(int Walked, List<string> Faults)> WalkAsync(HttpClient mine, EndpointDataSource routes, Known theirs) => await WalkAsync(mine, routes, theirs.Ids);

    private static async Task<(int Walked, List<string> Faults)> WalkAsync(HttpClient mine, EndpointDataSource routes, IReadOnlyDictionary<string, string> theirs)
    {
        List<string> faults = [];
        var walked = 0;
        foreach (var (method, pattern) in Endpoints(routes))
        {
            var real = await CallAsync(mine, method, Fill(pattern, name => theirs.GetValueOrDefault(name)));
            var madeUp = await CallAsync(mine, method, Fill(pattern, _ => null));
            walked++;
            var what = $"{method} {pattern.RawText}";
            if (real.Status is >= 200 and < 300) faults.Add($"{what} answered {real.Status}");
            else if (real != madeUp) faults.Add($"{what} answered {real} where something made up gets {madeUp}");
            else if (method is "GET" or "DELETE" && real.Status is not (404 or 403)) faults.Add($"{what} answered {real.Status} and not 404");
        }

        return (walked, faults);
    }

    private static IEnumerable<(string Method, RoutePattern Pattern)> Endpoints(EndpointDataSource routes) =>
        from endpoint in routes.Endpoints.OfType<RouteEndpoint>()
        where endpoint.Metadata.GetMetadata<NeedsAttribute>() is not null && endpoint.RoutePattern.Parameters.Count > 0
        where endpoint.RoutePattern.RawText!.TrimStart('/') is var path && (path.StartsWith("api/", StringComparison.Ordinal) || path.StartsWith("v2/", StringComparison.Ordinal))
        from method in endpoint.Metadata.GetMetadata<HttpMethodMetadata>()!.HttpMethods
        select (method, endpoint.RoutePattern);

    /// <summary>The path with its parameters filled in. What nobody knows is made up in the parameter's own form.</summary>
    private static string Fill(RoutePattern pattern, Func<string, string?> known)
    {
        var resource = pattern.PathSegments.LastOrDefault(s => s.Parts[0] is RoutePatternLiteralPart && pattern.PathSegments.ToList().IndexOf(s) < IndexOfParameter(pattern)) is { } literal
            ? ((RoutePatternLiteralPart)literal.Parts[0]).Content
            : "";
        return string.Join('/', pattern.PathSegments.Select(segment => segment.Parts[0] switch
        {
            RoutePatternLiteralPart text => text.Content,
            RoutePatternParameterPart { Name: "id" } => known($"{resource}/id") ?? Guid.CreateVersion7().ToString(),
            RoutePatternParameterPart { Name: "version" } => "1",
            RoutePatternParameterPart { Name: "kind" } => "model",
            RoutePatternParameterPart parameter => known(parameter.Name) ?? "made-up",
            _ => "",
        }));
    }

    private static int IndexOfParameter(RoutePattern pattern) => pattern.PathSegments.ToList().FindIndex(s => s.Parts[0] is RoutePatternParameterPart);

    private static async Task<Answer> CallAsync(HttpClient client, string method, string path)
    {
        // What must be asked in the query, so that the look-up is what refuses.
        if (path.EndsWith("/metric-history", StringComparison.Ordinal)) path += "?key=rmse";
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (method is "POST" or "PUT" or "PATCH") request.Content = JsonContent.Create(Bodies(path));
        using var answer = await client.SendAsync(request);
        var body = await answer.Content.ReadAsStringAsync();
        var code = body.StartsWith('{') && JsonDocument.Parse(body).RootElement.TryGetProperty("code", out var c) ? c.GetString() : null;
        return new((int)answer.StatusCode, code);
    }

    /// <summary>A body that gets past reading, so that the look-up is what refuses.</summary>
    private static object Bodies(string path) => path switch
    {
        _ when path.EndsWith("/keys", StringComparison.Ordinal) => new { name = "x", role = "viewer" },
        _ when path.EndsWith("/people", StringComparison.Ordinal) => new { email = "x@example.test", name = "x", role = "viewer" },
        _ when path.Contains("/aliases/", StringComparison.Ordinal) => new { version = 1 },
        _ when path.EndsWith("/sharing", StringComparison.Ordinal) => new { everyone = true },
        _ when path.EndsWith("/derived-versions", StringComparison.Ordinal) => new { from = new { tenant = "x", model = "x", version = 1 } },
        _ when path.Contains("/holds/", StringComparison.Ordinal) => new { reason = "x" },
        _ when path.EndsWith("/tags", StringComparison.Ordinal) => new { tags = new { } },
        _ when path.EndsWith("/reject", StringComparison.Ordinal) || path.EndsWith("/suspend", StringComparison.Ordinal) => new { reason = "x" },
        _ when path.EndsWith("/predict", StringComparison.Ordinal) => new { inputs = WholeTenant.Row },
        _ when path.EndsWith("/lookup", StringComparison.Ordinal) => new { keys = new[] { "H1" } },
        _ when path.EndsWith("/infer", StringComparison.Ordinal) => new { inputs = new[] { new { name = "x", shape = new[] { 1 }, datatype = "FP32", data = new[] { 1 } } } },
        _ => new { },
    };

    private sealed record Answer(int Status, string? Code);
}
