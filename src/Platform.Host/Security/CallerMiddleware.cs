using System.Text;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authorization;
using Platform.Kernel;
using Platform.Kernel.Pages;

namespace Platform.Host.Security;

/// <summary>Finds out who calls and whether the endpoint lets them in, before anything else of the endpoint runs. A key in the request
/// decides alone; without one, the cookie of a person who signed in does, for requests of our own pages only.</summary>
internal sealed class CallerMiddleware(RequestDelegate next, ICredentials credentials, IPrincipals principals)
{
    public Task InvokeAsync(HttpContext context)
    {
        var presented = Presented(context.Request, out var isKey);
        if (!isKey) return WithCookieAsync(context);
        var resolving = credentials.ResolveKeyAsync(presented, context.RequestAborted);
        return resolving.IsCompletedSuccessfully ? WithKey(context, resolving.Result) : WithKeyAsync(context, resolving);
    }

    /// <summary>Whether the endpoint asks for a permission and the caller showed a key that has it: then nothing is left to decide.</summary>
    public static bool IsLetInByKey(HttpContext context) =>
        (context.Request.Headers.Authorization.Count > 0 || context.Request.Headers.ContainsKey("X-API-Key"))
        && context.Features.Get<Caller>() is not null && context.GetEndpoint()?.Metadata is { } metadata && metadata.GetMetadata<NeedsAttribute>() is not null
        && metadata.GetMetadata<IAuthorizeData>() is null && metadata.GetMetadata<IAntiforgeryMetadata>() is not { RequiresValidation: true };

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

    private static ReadOnlySpan<char> Presented(HttpRequest request, out bool isKey)
    {
        isKey = true;
        if (request.Headers.Authorization is [{ } authorization, ..] && authorization.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
        {
            return authorization.AsSpan("Bearer ".Length).Trim();
        }

        // Clients of MLflow may be set up with a user and a password: the key is the password, and the user may be anyone.
        if (MlflowRefusals.Concerns(request) && request.Headers.Authorization is [{ } basic, ..] && basic.StartsWith("Basic ", StringComparison.OrdinalIgnoreCase)) return Password(basic["Basic ".Length..]);

        if (request.Headers.TryGetValue("X-API-Key", out var key)) return key.ToString();
        isKey = false;
        return default;
    }

    private static string Password(string credentials)
    {
        var pair = new byte[credentials.Length];
        if (!Convert.TryFromBase64String(credentials.Trim(), pair, out var length)) return "";
        var text = Encoding.UTF8.GetString(pair, 0, length);
        return text[(text.IndexOf(':') + 1)..];
    }

    /// <summary>A cookie travels with requests that other sites provoke; browsers say where a request comes from, and reads are harmless.</summary>
    private static bool IsFromOurPages(HttpRequest request) =>
        HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method)
        || request.Headers["Sec-Fetch-Site"].ToString() is "same-origin" or "none";

    private static readonly Refusal NoCredential = new(
        RefusalKind.Unauthenticated, "no-credential", "This needs an API key.", "Authorization", "Send 'Authorization: Bearer {key}'; a tenant administrator can issue one.");
}

/// <summary>Writes a refusal in the shape the route's dialect asks for: gRPC, the Open Inference Protocol and MLflow have their own.</summary>
internal static class RefusalWriter
{
    public static Task WriteAsync(HttpContext context, Refusal refusal)
    {
        if (GrpcRefusals.Concerns(context.Request)) return GrpcRefusals.WriteAsync(context, refusal);
        if (MlflowRefusals.Concerns(context.Request)) return MlflowRefusals.WriteAsync(context, refusal);
        if (!context.Request.Path.StartsWithSegments("/v2")) return Problems.WriteAsync(context, refusal);
        context.Response.StatusCode = Problems.Status(refusal.Kind);
        if (refusal.RetryAfter is { } after) context.Response.Headers.RetryAfter = Math.Max(1, (long)Math.Ceiling(after.TotalSeconds)).ToString();
        // Exactly this type: a public client reads the message only then.
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(System.Text.Json.JsonSerializer.Serialize(new { error = $"{refusal.Detail} {refusal.Mend}".TrimEnd() }));
    }
}
