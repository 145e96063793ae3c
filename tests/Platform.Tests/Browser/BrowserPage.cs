using Microsoft.Playwright;
using Platform.Testing;

namespace Platform.Tests.Browser;

/// <summary>A real browser on the shared host, one a test process; each test gets a context (cookies, storage) of its own.</summary>
internal static class BrowserPage
{
    private static readonly Lazy<Task<IBrowser>> Browser = new(LaunchAsync);

    /// <summary>A page of somebody who has not signed in.</summary>
    public static async Task<IPage> NewAsync(PlatformApp app)
    {
        var context = await (await Browser.Value).NewContextAsync(new() { BaseURL = app.Address.ToString(), ViewportSize = new() { Width = 1440, Height = 900 } });
        context.SetDefaultTimeout(20_000);
        return await context.NewPageAsync();
    }

    /// <summary>A page signed in with an API key.</summary>
    public static async Task<IPage> SignedInAsync(PlatformApp app, string key)
    {
        var page = await NewAsync(app);
        await page.GotoAsync("/signin");
        await page.FillAsync("input[name=key]", key);
        await page.ClickAsync("text=Sign in with the key");
        await page.ArriveAsync("/");
        return page;
    }

    /// <summary>A page signed in with a person's account.</summary>
    public static async Task<IPage> SignedInAsync(PlatformApp app, string email, string password)
    {
        var page = await NewAsync(app);
        await page.GotoAsync("/signin");
        await page.FillAsync("input[name=email]", email);
        await page.FillAsync("input[name=password]", password);
        await page.ClickAsync("button:has-text('Sign in') >> nth=0");
        await page.ArriveAsync("/");
        return page;
    }

    /// <summary>Opens a page of the platform and waits until it is interactive, which its heading alone does not tell.</summary>
    public static async Task OpenAsync(this IPage page, string path)
    {
        await page.GotoAsync(path, new() { WaitUntil = WaitUntilState.NetworkIdle });
        await page.Locator("h1").First.WaitForAsync();
    }

    /// <summary>Waits until the browser is at the address that something on the page leads to. Where it stays, what the page says instead is in the failure.</summary>
    /// <remarks>Not WaitForURLAsync: it looks where the page is and then listens, and a busy machine can arrive in between.</remarks>
    public static async Task ArriveAsync(this IPage page, string path)
    {
        try
        {
            await Assertions.Expect(page).ToHaveURLAsync(path);
        }
        catch (PlaywrightException elsewhere)
        {
            throw new ShouldAssertException($"{elsewhere.Message}\n{await page.Locator("body").InnerTextAsync()}");
        }
    }

    /// <summary>Chooses from a drop-down and goes on when the choice is seen, as a person does: the component takes it only after its list has closed.</summary>
    public static async Task ChooseAsync(this IPage page, string name, string item)
    {
        var dropDown = page.Locator($".rz-dropdown:has(input[name={name}])");
        await dropDown.ClickAsync();
        await page.ClickAsync($".rz-dropdown-item:has-text('{item}'):visible");
        await Assertions.Expect(dropDown.Locator(".rz-dropdown-label")).ToHaveTextAsync(item);
        await Assertions.Expect(page.Locator(".rz-dropdown-panel:visible")).ToHaveCountAsync(0);
    }

    /// <summary>Keeps a picture under artifacts/screenshots, to be looked at.</summary>
    public static Task PictureAsync(this IPage page, string name) =>
        page.ScreenshotAsync(new() { Path = Path.Combine(SharedData.Root, "artifacts", "screenshots", $"{name}.png"), FullPage = true });

    /// <summary>A picture of the whole page in light and one in dark, switched as a person would.</summary>
    public static async Task PicturesAsync(this IPage page, string name)
    {
        // The page scrolls inside its frame, so the window has to be as high as what is in it.
        var height = await page.EvaluateAsync<int>("() => { const body = document.querySelector('.rz-body'); return body ? body.scrollHeight + body.getBoundingClientRect().top : document.documentElement.scrollHeight }");
        await page.SetViewportSizeAsync(1440, Math.Clamp(height, 900, 6000));
        await page.PictureAsync(name);
        await page.SwitchThemeAsync("dark");
        await page.PictureAsync($"{name}-dark");
        await page.SwitchThemeAsync("light");
        await page.SetViewportSizeAsync(1440, 900);
    }

    /// <summary>Presses the switch and waits for the other style sheet to be in force.</summary>
    public static async Task SwitchThemeAsync(this IPage page, string to)
    {
        await page.ClickAsync("button[aria-label='Light or dark']");
        await page.WaitForFunctionAsync("dark => [...document.styleSheets].some(sheet => sheet.href && sheet.href.includes('software') && sheet.href.includes('-dark') === dark)", to == "dark");
        await page.WaitForFunctionAsync("dark => document.cookie.includes('-dark') === dark", to == "dark");
        // Colours fade over; a picture taken meanwhile shows neither theme.
        await page.WaitForFunctionAsync("() => document.getAnimations().every(animation => animation.playState !== 'running')");
    }

    private static async Task<IBrowser> LaunchAsync()
    {
        // What the pages do takes longer while other projects are tested on the same cores.
        Assertions.SetDefaultExpectTimeout(20_000);
        var playwright = await Playwright.CreateAsync();
        return await playwright.Chromium.LaunchAsync(new()
        {
            ExecutablePath = "/usr/bin/chromium",
            Args = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        });
    }
}
