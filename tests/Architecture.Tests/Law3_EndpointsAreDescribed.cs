using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Components.Endpoints;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.StaticAssets;
using Microsoft.Extensions.DependencyInjection;
using Platform.Kernel;
using Platform.Testing;

namespace Architecture.Tests;

/// <summary>Law 3: every endpoint is named after its slice, tagged, described, and asks for a permission or stands on the list of open ones.</summary>
public sealed class Law3_EndpointsAreDescribed
{
    /// <summary>Everything anyone may call without a credential. A line here is a decision.</summary>
    private static readonly HashSet<string> OpenByDecision =
    [
        "/signin", "/signin/provider", "/signout", "/health/live", "/health/ready", "/metrics", "/openapi/{documentName}.json", "/docs", "/docs/{documentName?}",
        "/docs/favicon.svg", "/docs/scalar.js", "/docs/scalar.aspnetcore.js", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/{**rest}", "/mlflow/{**rest}", "/mlflow/parts/{tenant}/{upload}/{part}",
        "/inference.GRPCInferenceService/ServerLive", "/inference.GRPCInferenceService/ServerReady", "/inference.GRPCInferenceService/ServerMetadata",
        "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/List", "/grpc.health.v1.Health/Watch",
    ];

    [Fact]
    public async Task Every_endpoint_of_a_module_is_named_after_a_slice_tagged_described_and_guarded()
    {
        var app = await PlatformApp.SharedAsync();
        var endpoints = app.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>().Where(e => !IsOfTheFramework(e)).ToArray();
        endpoints.Length.ShouldBeGreaterThan(30);
        var slices = House.ModuleAssemblies.SelectMany(a => a.GetTypes()).Select(t => t.Name).ToHashSet();
        endpoints.SelectMany(e => Faults(e, slices)).ShouldHold();
    }

    [Fact]
    public void An_endpoint_without_name_tag_and_permission_is_noticed()
    {
        var builder = WebApplication.CreateSlimBuilder();
        using var app = (IDisposable)builder.Build();
        var routes = (IEndpointRouteBuilder)app;
        House.Broken.MapApi(routes.MapGroup("/api/v1/broken"), routes);
        var endpoint = routes.DataSources.SelectMany(s => s.Endpoints).OfType<RouteEndpoint>().Single();

        Faults(endpoint, []).Select(f => f[(f.IndexOf(": ", StringComparison.Ordinal) + 2)..])
            .ShouldBe(["has no name", "has no tag", "has no summary", "asks for no permission and is not on the list of open endpoints"]);
    }

    [Fact]
    public async Task Every_permission_that_an_endpoint_asks_for_is_held_by_some_role()
    {
        var app = await PlatformApp.SharedAsync();
        var asked = app.Services.GetRequiredService<EndpointDataSource>().Endpoints.Select(e => e.Metadata.GetMetadata<NeedsAttribute>()?.Permission).OfType<string>().Distinct();
        var held = Platform.Tenancy.Roles.All.Values.SelectMany(r => r).ToHashSet();
        asked.Where(p => !held.Contains(p)).Select(p => $"no role has {p}").ShouldHold();
    }

    private static IEnumerable<string> Faults(RouteEndpoint endpoint, HashSet<string> slices)
    {
        var route = "/" + endpoint.RoutePattern.RawText?.TrimStart('/');
        var inApi = route.StartsWith("/api/", StringComparison.Ordinal);
        var name = endpoint.Metadata.GetMetadata<IEndpointNameMetadata>()?.EndpointName;
        if (inApi && name is null) yield return $"{route}: has no name";
        else if (inApi && !slices.Contains(name!)) yield return $"{route}: is named {name}, which is no slice";
        if (inApi && endpoint.Metadata.GetMetadata<ITagsMetadata>() is not { Tags.Count: > 0 }) yield return $"{route}: has no tag";
        if (inApi && endpoint.Metadata.GetMetadata<IEndpointSummaryMetadata>() is null) yield return $"{route}: has no summary";
        if (endpoint.Metadata.GetMetadata<NeedsAttribute>() is null && !(endpoint.Metadata.GetMetadata<OpenToAll>() is not null && OpenByDecision.Contains(route)))
        {
            yield return $"{route}: asks for no permission and is not on the list of open endpoints";
        }
    }

    /// <summary>Pages guard themselves (each carries [Authorize], see below); assets and Blazor's own channel carry nothing of a tenant.</summary>
    private static bool IsOfTheFramework(Endpoint endpoint) =>
        endpoint.Metadata.GetMetadata<ComponentTypeMetadata>() is not null || endpoint.Metadata.GetMetadata<StaticAssetDescriptor>() is not null
        // gRPC's own answer, "unimplemented", to methods that do not exist.
        || ((RouteEndpoint)endpoint).RoutePattern.RawText?.EndsWith("/{unimplementedMethod:grpcunimplemented}", StringComparison.Ordinal) is true
        || ((RouteEndpoint)endpoint).RoutePattern.RawText?.TrimStart('/') is "{**path:file}" or "_framework/opaque-redirect" or ['_', 'b', 'l', 'a', 'z', 'o', 'r', ..];

    [Fact]
    public void Every_page_but_the_sign_in_asks_for_someone_signed_in()
    {
        var pages = House.ModuleAssemblies.Append(typeof(Program).Assembly).SelectMany(a => a.GetTypes())
            .Where(t => t.GetCustomAttributes(typeof(Microsoft.AspNetCore.Components.RouteAttribute), false).Length > 0).ToArray();
        pages.Length.ShouldBeGreaterThan(8);
        pages.Where(p => p.GetCustomAttributes(typeof(Microsoft.AspNetCore.Authorization.AuthorizeAttribute), true).Length == 0
                         || p.GetCustomAttributes(typeof(Microsoft.AspNetCore.Authorization.AllowAnonymousAttribute), true).Length > 0)
            .Select(p => p.Name).ShouldBe(["SignInPage", "NotFoundPage"], ignoreOrder: true);
    }
}
