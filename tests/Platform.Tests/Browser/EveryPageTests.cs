using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Components;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Playwright;
using Platform.Host.Components;
using Platform.Kernel;
using Platform.Testing;
using Platform.Tests.Tenancy;

namespace Platform.Tests.Browser;

/// <summary>What holds for every page there is. Pages are found by their routes, so a new one is looked at without being named here.</summary>
public sealed partial class EveryPageTests
{
    private static readonly string[] OfThePlatform = ["/tenants"];

    [Fact]
    public async Task Every_page_shows_without_an_error_in_light_and_dark_and_asks_no_other_host_for_anything()
    {
        var driven = await WholeTenant.SharedAsync();
        var tenant = driven.Tenant;
        await using var stranger = new Watched(await BrowserPage.NewAsync(tenant.App), tenant.App);
        await stranger.VisitAsync("/signin", "signin", switches: false);

        await using var platform = new Watched(await BrowserPage.SignedInAsync(tenant.App, PlatformApp.AdminKey), tenant.App);
        foreach (var path in (string[])["/", "/audit", "/usage", "/resident-models", $"/keys?tenant={tenant.Id}", .. OfThePlatform]) await platform.VisitAsync(path, $"platform-{Name(path)}");

        await using var person = new Watched(await BrowserPage.SignedInAsync(tenant.App, tenant.AdminKey), tenant.App);
        var templates = Templates(tenant.App).Except([.. OfThePlatform, "/signin"]).ToArray();
        templates.Length.ShouldBeGreaterThan(15);
        foreach (var template in templates) await person.VisitAsync(Fill(template, driven), Name(template));

        stranger.Faults.Concat(platform.Faults).Concat(person.Faults).ShouldBeEmpty();
    }

    [Fact]
    public async Task The_dark_theme_is_still_there_on_the_next_visit()
    {
        var driven = await WholeTenant.SharedAsync();
        var page = await BrowserPage.SignedInAsync(driven.Tenant.App, driven.Tenant.AdminKey);
        await page.OpenAsync("/models");
        await page.SwitchThemeAsync("dark");
        await page.OpenAsync("/datasets");
        (await page.EvaluateAsync<bool>("() => [...document.styleSheets].some(sheet => sheet.href && sheet.href.includes('-dark'))")).ShouldBeTrue();
    }

    private static IEnumerable<string> Templates(PlatformApp app) =>
        from assembly in app.Services.GetRequiredService<IReadOnlyList<IModule>>().Select(m => m.Assembly).Append(typeof(App).Assembly).Distinct()
        from type in assembly.GetTypes()
        from route in type.GetCustomAttributes(typeof(RouteAttribute), inherit: false).Cast<RouteAttribute>()
        orderby route.Template
        select route.Template;

    private static string Fill(string template, WholeTenant driven)
    {
        var resource = template.Split('/')[1];
        var id = resource switch
        {
            "datasets" => WholeTenant.Dataset,
            "feature-views" => WholeTenant.View,
            "models" => WholeTenant.Model,
            "endpoints" => WholeTenant.Endpoint,
            _ => driven.Ids.GetValueOrDefault($"{resource}/id"),
        };
        return Parameter().Replace(template, match => match.Value.Contains(":int}") ? "1" : id ?? throw new InvalidOperationException($"Which one should be shown on {template}? Name it here."));
    }

    private static string Name(string path) => Parameter().Replace(path.Split('?')[0], "one").Trim('/').Replace('/', '-') is { Length: > 0 } name ? $"page-{name}" : "page-overview";

    [GeneratedRegex(@"\{[^}]+\}")]
    private static partial Regex Parameter();

    /// <summary>A page whose requests and complaints are written down.</summary>
    private sealed class Watched : IAsyncDisposable
    {
        private readonly IPage page;
        private readonly ConcurrentQueue<string> faults = new();
        private string path = "";

        public Watched(IPage page, PlatformApp app)
        {
            this.page = page;
            page.Request += (_, request) =>
            {
                if (request.Url.StartsWith("http", StringComparison.Ordinal) && new Uri(request.Url).Authority != app.Address.Authority) faults.Enqueue($"{path} asked for {request.Url}");
            };
            page.WebSocket += (_, socket) =>
            {
                if (new Uri(socket.Url).Authority != app.Address.Authority) faults.Enqueue($"{path} connected to {socket.Url}");
            };
            page.Response += (_, response) =>
            {
                if (response.Status >= 400) faults.Enqueue($"{path} got {response.Status} for {response.Url}");
            };
            page.Console += (_, message) =>
            {
                if (message.Type is "error") faults.Enqueue($"{path} says on the console: {message.Text}");
            };
            page.PageError += (_, error) => faults.Enqueue($"{path} throws: {error}");
        }

        public IEnumerable<string> Faults => faults;

        public async Task VisitAsync(string path, string picture, bool switches = true)
        {
            this.path = path;
            await page.OpenAsync(path);
            if (await page.Locator("[data-testid=refusal]").CountAsync() > 0) faults.Enqueue($"{path} says: {await page.Locator("[data-testid=refusal]").First.InnerTextAsync()}");
            if (switches) await page.PicturesAsync(picture);
            else await page.PictureAsync(picture);
            var beyond = await page.EvaluateAsync<int>("() => Math.max(0, ...[document.documentElement, document.querySelector('.rz-body')].filter(e => e).map(e => e.scrollWidth - e.clientWidth))");
            if (beyond > 1) faults.Enqueue($"{path} is {beyond} pixels wider than its window");
        }

        public async ValueTask DisposeAsync() => await page.Context.CloseAsync();
    }
}
