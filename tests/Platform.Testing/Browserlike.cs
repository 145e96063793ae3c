using System.Text.RegularExpressions;

namespace Platform.Testing;

/// <summary>A client that keeps cookies and fills in the sign-in form, for tests of sign-in that need no page to run.</summary>
public sealed partial class Browserlike(Uri address) : IDisposable
{
    public HttpClient Client { get; } = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = true }) { BaseAddress = address };

    /// <summary>Where the sign-in led.</summary>
    public Task<string> SignInAsync(string email, string password) => PostAsync(new() { ["email"] = email, ["password"] = password });

    public Task<string> SignInWithKeyAsync(string key) => PostAsync(new() { ["key"] = key });

    public void Dispose() => Client.Dispose();

    private async Task<string> PostAsync(Dictionary<string, string> form)
    {
        var page = await Client.GetStringAsync("signin");
        form["__RequestVerificationToken"] = Token().Match(page).Groups[1].Value;
        using var answer = await Client.PostAsync("signin", new FormUrlEncodedContent(form));
        return answer.Headers.Location?.ToString() ?? $"{(int)answer.StatusCode}";
    }

    [GeneratedRegex("name=\"__RequestVerificationToken\" value=\"([^\"]+)\"")]
    private static partial Regex Token();
}
