using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Patterns;
using Microsoft.Extensions.DependencyInjection;
using Platform.Kernel;
using Platform.Testing;

namespace Platform.Tests.Tenancy;

/// <summary>Law 7: every endpoint, called by one tenant with another's identifiers, answers as if they did not exist.</summary>
public sealed class CrossTenantTests
{
    [Fact]
    public async Task Nothing_of_another_tenant_can_be_seen_touched_or_even_told_from_nothing()
    {
        var theirs = await WholeTenant.BuildAsync();
        var mine = await TestTenant.NewAsync();
        List<string> faults = [];
        var walked = 0;
        foreach (var (method, pattern) in Endpoints(mine.App))
        {
            var real = await CallAsync(mine.Admin, method, Fill(pattern, name => theirs.Ids.GetValueOrDefault(name)));
            var madeUp = await CallAsync(mine.Admin, method, Fill(pattern, _ => null));
            walked++;
            var what = $"{method} {pattern.RawText}";
            if (real.Status is >= 200 and < 300) faults.Add($"{what} answered {real.Status}");
            else if (real != madeUp) faults.Add($"{what} answered {real} where something made up gets {madeUp}");
            else if (method is "GET" or "DELETE" && real.Status is not (404 or 403)) faults.Add($"{what} answered {real.Status} and not 404");
        }

        walked.ShouldBeGreaterThan(20);
        faults.ShouldBeEmpty();
    }

    private static IEnumerable<(string Method, RoutePattern Pattern)> Endpoints(PlatformApp app) =>
        from endpoint in app.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()
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
            RoutePatternParameterPart parameter => known(parameter.Name) ?? "made-up",
            _ => "",
        }));
    }

    private static int IndexOfParameter(RoutePattern pattern) => pattern.PathSegments.ToList().FindIndex(s => s.Parts[0] is RoutePatternParameterPart);

    private static async Task<Answer> CallAsync(HttpClient client, string method, string path)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (method is "POST" or "PUT") request.Content = JsonContent.Create(Bodies(path));
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
        _ when path.EndsWith("/tags", StringComparison.Ordinal) => new { tags = new { } },
        _ when path.EndsWith("/reject", StringComparison.Ordinal) || path.EndsWith("/suspend", StringComparison.Ordinal) => new { reason = "x" },
        _ when path.EndsWith("/predict", StringComparison.Ordinal) => new { inputs = WholeTenant.Row },
        _ when path.EndsWith("/lookup", StringComparison.Ordinal) => new { keys = new[] { "H1" } },
        _ when path.EndsWith("/infer", StringComparison.Ordinal) => new { inputs = new[] { new { name = "x", shape = new[] { 1 }, datatype = "FP32", data = new[] { 1 } } } },
        _ => new { },
    };

    private sealed record Answer(int Status, string? Code);
}
