using System.Net.Http.Json;
using System.Text.Json;

namespace Platform.Testing;

/// <summary>A fresh tenant with a client for each role.</summary>
/// <param name="Id">The tenant's slug.</param>
public sealed record TestTenant(PlatformApp App, string Id, HttpClient Admin, HttpClient Developer, HttpClient Viewer, string AdminKey, string DeveloperKey)
{
    public static async Task<TestTenant> NewAsync(PlatformApp? on = null)
    {
        var app = on ?? await PlatformApp.SharedAsync();
        var id = $"t-{Guid.NewGuid().ToString("N")[..12]}";
        using var platform = app.ClientWith(PlatformApp.AdminKey);
        using var created = await platform.PostAsJsonAsync("api/v1/tenancy/tenants", new { id, name = $"Tenant {id}" });
        await created.ShouldBeAsync(201);
        var admin = await IssueKeyAsync(platform, id, "tenant-admin");
        var developer = await IssueKeyAsync(platform, id, "developer");
        var viewer = await IssueKeyAsync(platform, id, "viewer");
        return new(app, id, app.ClientWith(admin), app.ClientWith(developer), app.ClientWith(viewer), admin, developer);
    }

    public static async Task<string> IssueKeyAsync(HttpClient by, string tenant, string role)
    {
        using var answer = await by.PostAsJsonAsync($"api/v1/tenancy/tenants/{tenant}/keys", new { name = role, role });
        return (await answer.ShouldBeAsync(201)).GetProperty("key").GetString()!;
    }
}

/// <summary>Answers, asserted with their body in the message.</summary>
public static class HttpAssertions
{
    /// <summary>Asserts the status and gives the body as JSON (undefined when empty or not JSON).</summary>
    public static async Task<JsonElement> ShouldBeAsync(this HttpResponseMessage answer, int status)
    {
        var body = await answer.Content.ReadAsStringAsync();
        Xunit.Assert.True((int)answer.StatusCode == status, $"{answer.RequestMessage?.Method} {answer.RequestMessage?.RequestUri?.PathAndQuery} answered {(int)answer.StatusCode} where {status} was expected:\n{body}");
        return body is ['{' or '[', ..] ? JsonDocument.Parse(body).RootElement : default;
    }

    /// <summary>Asserts a problem with this status and code, and that it says how to mend it.</summary>
    public static async Task<JsonElement> ShouldRefuseAsync(this HttpResponseMessage answer, int status, string code)
    {
        var problem = await answer.ShouldBeAsync(status);
        Xunit.Assert.Equal("application/problem+json", answer.Content.Headers.ContentType?.MediaType);
        Xunit.Assert.Equal(code, problem.GetProperty("code").GetString());
        return problem;
    }
}

/// <summary>Waiting for what comes about by itself, without guessing how long it takes.</summary>
public static class Eventually
{
    /// <summary>Asks again until the answer holds, at most three minutes; fails with what it last saw.</summary>
    public static async Task<T> BecomesAsync<T>(string what, Func<Task<T>> ask, Func<T, bool> holds)
    {
        var deadline = DateTime.UtcNow.AddMinutes(3);
        while (true)
        {
            var seen = await ask();
            if (holds(seen)) return seen;
            Xunit.Assert.True(DateTime.UtcNow < deadline, $"Waited 3 min for {what}; last seen: {seen}");
            await Task.Delay(25);
        }
    }
}
