using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Platform.Kernel;

/// <summary>The one table from refusal kinds to HTTP, and the shape every refusal has on the wire (RFC 9457 problem+json
/// with <c>code</c>, <c>field</c>, <c>mend</c> and <c>errors</c>).</summary>
public static class Problems
{
    /// <summary>The prefix of every problem's <c>type</c>; the code follows.</summary>
    public const string TypePrefix = "/problems/";

    public static int Status(RefusalKind kind) => kind switch
    {
        RefusalKind.Invalid => 400,
        RefusalKind.Unauthenticated => 401,
        RefusalKind.Forbidden => 403,
        RefusalKind.NotFound => 404,
        RefusalKind.Conflict => 409,
        RefusalKind.Stale => 412,
        RefusalKind.TooLarge => 413,
        RefusalKind.Unsupported => 415,
        RefusalKind.Declined => 422,
        RefusalKind.LimitReached => 429,
        RefusalKind.Unavailable => 503,
        _ => 500,
    };

    /// <summary>The problem for a refusal, ready to be returned from an endpoint.</summary>
    public static ProblemHttpResult ToProblem(this Refusal refusal) => TypedResults.Problem(Details(refusal));

    public static ProblemDetails Details(Refusal refusal)
    {
        var details = new ProblemDetails
        {
            Type = TypePrefix + refusal.Code,
            Title = Title(refusal.Kind),
            Status = Status(refusal.Kind),
            Detail = refusal.Detail,
        };
        details.Extensions["code"] = refusal.Code;
        if (refusal.Field is { } field) details.Extensions["field"] = field;
        if (refusal.Mend is { } mend) details.Extensions["mend"] = mend;
        if (refusal.Errors.Count > 0) details.Extensions["errors"] = refusal.Errors;
        if (refusal.RetryAfter is { } after) details.Extensions["retryAfterSeconds"] = RetryAfterSeconds(after);
        return details;
    }

    /// <summary>Writes the refusal to a response that has not begun, with <c>Retry-After</c> where it applies.</summary>
    public static Task WriteAsync(HttpContext context, Refusal refusal)
    {
        if (refusal.RetryAfter is { } after) context.Response.Headers.RetryAfter = RetryAfterSeconds(after).ToString();
        if (refusal.Kind is RefusalKind.Unauthenticated) context.Response.Headers.WWWAuthenticate = "Bearer";
        return refusal.ToProblem().ExecuteAsync(context);
    }

    private static long RetryAfterSeconds(TimeSpan after) => Math.Max(1, (long)Math.Ceiling(after.TotalSeconds));

    private static string Title(RefusalKind kind) => kind switch
    {
        RefusalKind.Invalid => "The request is not valid.",
        RefusalKind.Unauthenticated => "Sign in, or send a valid API key.",
        RefusalKind.Forbidden => "You may not do this.",
        RefusalKind.NotFound => "Not found.",
        RefusalKind.Conflict => "The current state does not allow this.",
        RefusalKind.Stale => "It has changed since you read it.",
        RefusalKind.TooLarge => "Too large.",
        RefusalKind.Unsupported => "This kind of content cannot be read here.",
        RefusalKind.Declined => "A rule says no.",
        RefusalKind.LimitReached => "A limit is reached.",
        RefusalKind.Unavailable => "Not available right now.",
        _ => "Refused.",
    };
}
