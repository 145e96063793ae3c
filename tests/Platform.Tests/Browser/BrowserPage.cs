using Microsoft.Playwright;
using Platform.Testing;

namespace Platform.Tests.Browser;

/// <summary>A real browser on the shared host, one a test process; each test gets a context (cookies, storage) of its own.</summary>
internal static class BrowserPage
{
    private static readonly Lazy<Task<IBrowser>> Browser = new(LaunchAsync);

    /// <summary>A page signed in with an API key.</summary>
    public static async Task<IPage> SignedInAsync(PlatformApp app, string key)
    {
        var context = await (await Browser.Value).NewContextAsync(new() { BaseURL = app.Address.ToString(), ViewportSize = new() { Width = 1440, Height = 900 } });
        context.SetDefaultTimeout(20_000);
        var page = await context.NewPageAsync();
        await page.GotoAsync("/signin");
        await page.FillAsync("input[name=key]", key);
        await page.ClickAsync("text=Sign in with the key");
        await page.WaitForURLAsync("**/");
        return page;
    }

    /// <summary>Opens a page of the platform and waits until it is interactive, which its heading alone does not tell.</summary>
    public static async Task OpenAsync(this IPage page, string path)
    {
        await page.GotoAsync(path, new() { WaitUntil = WaitUntilState.NetworkIdle });
        await page.Locator("h1").First.WaitForAsync();
    }

    /// <summary>Keeps a picture under artifacts/screenshots, to be looked at.</summary>
    public static Task PictureAsync(this IPage page, string name) =>
        page.ScreenshotAsync(new() { Path = Path.Combine(SharedData.Root, "artifacts", "screenshots", $"{name}.png"), FullPage = true });

    private static async Task<IBrowser> LaunchAsync()
    {
        var playwright = await Playwright.CreateAsync();
        return await playwright.Chromium.LaunchAsync(new()
        {
            ExecutablePath = "/usr/bin/chromium",
            Args = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        });
    }
}
