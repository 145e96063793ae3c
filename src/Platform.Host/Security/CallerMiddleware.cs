using Microsoft.AspNetCore.Authentication;
using Platform.Kernel;
using Platform.Kernel.Pages;

namespace Platform.Host.Security;

/// <summary>Finds out who calls and whether the endpoint lets them in, before anything else of the endpoint runs. A key in the request
/// decides alone; without one, the cookie of a person who signed in does, for requests of our own pages only.</summary>
internal sealed class CallerMiddleware(RequestDelegate next, ICredentials credentials, IPrincipals principals)
{
    public Task InvokeAsync(HttpContext context)
    {
        var presented = Presented(context.Request);
        if (presented is null) return WithCookieAsync(context);
        var resolving = credentials.ResolveKeyAsync(presented, context.RequestAborted);
        return resolving.IsCompletedSuccessfully ? WithKey(context, resolving.Result) : WithKeyAsync(context, resolving);
    }

    private async Task WithKeyAsync(HttpContext context, ValueTask<Result<Caller>> resolving) => await WithKey(context, await resolving);

    private Task WithKey(HttpContext context, Result<Caller> resolved)
    {
        if (resolved.IsOk) return Admit(context, resolved.Value);
        // A bad key is refused even where none is needed: the caller should know that it is not in use.
        return RefusalWriter.WriteAsync(context, resolved.Refusal!);
    }

    private async Task WithCookieAsync(HttpContext context)
    {
        Caller? caller = null;
        if (context.Request.Headers.Cookie.Count > 0 && IsFromOurPages(context.Request)
            && await context.AuthenticateAsync(SignInSetup.Scheme) is { Succeeded: true } ticket)
        {
            caller = await principals.CallerOfAsync(ticket.Principal, context.RequestAborted);
        }

        await Admit(context, caller);
    }

    private Task Admit(HttpContext context, Caller? caller)
    {
        if (caller is not null) context.Features.Set(caller);
        if (context.GetEndpoint()?.Metadata.GetMetadata<NeedsAttribute>() is { } needs)
        {
            if (caller is null) return RefusalWriter.WriteAsync(context, NoCredential);
            if (!caller.May(needs.Permission)) return RefusalWriter.WriteAsync(context, PermissionRefusals.Lacking(needs.Permission));
        }

        return next(context);
    }

    private static string? Presented(HttpRequest request)
    {
        if (request.Headers.Authorization is [{ } authorization, ..] && authorization.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
        {
            return authorization["Bearer ".Length..].Trim();
        }

        return request.Headers.TryGetValue("X-API-Key", out var key) ? key.ToString() : null;
    }

    /// <summary>A cookie travels with requests that other sites provoke; browsers say where a request comes from, and reads are harmless.</summary>
    private static bool IsFromOurPages(HttpRequest request) =>
        HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method)
        || request.Headers["Sec-Fetch-Site"].ToString() is "same-origin" or "none";

    private static readonly Refusal NoCredential = new(
        RefusalKind.Unauthenticated, "no-credential", "This needs an API key.", "Authorization", "Send 'Authorization: Bearer {key}'; a tenant administrator can issue one.");
}

/// <summary>Writes a refusal in the shape the route's dialect asks for: the Open Inference Protocol has one of its own.</summary>
internal static class RefusalWriter
{
    public static Task WriteAsync(HttpContext context, Refusal refusal)
    {
        if (!context.Request.Path.StartsWithSegments("/v2")) return Problems.WriteAsync(context, refusal);
        context.Response.StatusCode = Problems.Status(refusal.Kind);
        if (refusal.RetryAfter is { } after) context.Response.Headers.RetryAfter = Math.Max(1, (long)Math.Ceiling(after.TotalSeconds)).ToString();
        // Exactly this type: a public client reads the message only then.
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(System.Text.Json.JsonSerializer.Serialize(new { error = $"{refusal.Detail} {refusal.Mend}".TrimEnd() }));
    }
}
