using Microsoft.AspNetCore.Http;

namespace Platform.Kernel;

/// <summary>Refusals as MLflow's clients read them: <c>error_code</c> and <c>message</c>. A refusal whose code is one of MLflow's (in capitals) is told by it,
/// others by their kind.</summary>
/// <remarks>Codes and their statuses: mlflow/exceptions.py. Its clients repeat what failed with 429 or 5xx, so no mistake of a caller's may have such a status.</remarks>
public static class MlflowRefusals
{
    /// <summary>Whether the request is one of the dialect's.</summary>
    public static bool Concerns(HttpRequest request) => request.Path.StartsWithSegments("/mlflow");

    public static Task WriteAsync(HttpContext context, Refusal refusal)
    {
        var response = context.Response;
        if (refusal.RetryAfter is { } after) response.Headers.RetryAfter = Math.Max(1, (long)Math.Ceiling(after.TotalSeconds)).ToString();
        if (refusal.Kind is RefusalKind.Unauthenticated) response.Headers.WWWAuthenticate = new[] { "Bearer", "Basic realm=\"mlflow\"" };
        var code = Code(refusal);
        return WriteAsync(context, Status(refusal, code), code, $"{refusal.Detail} {refusal.Mend}".TrimEnd());
    }

    /// <summary>What nobody foresaw; <paramref name="trace"/> is where it was logged.</summary>
    public static Task WriteFailureAsync(HttpContext context, string trace) => WriteAsync(context, StatusCodes.Status500InternalServerError, "INTERNAL_ERROR", $"Something failed here; trace {trace}.");

    private static Task WriteAsync(HttpContext context, int status, string code, string message)
    {
        context.Response.StatusCode = status;
        return context.Response.WriteAsJsonAsync(new Dictionary<string, string> { ["error_code"] = code, ["message"] = message }, context.RequestAborted);
    }

    private static string Code(Refusal refusal) => refusal.Code.Any(char.IsAsciiLetterLower) ? refusal.Kind switch
    {
        RefusalKind.Unauthenticated => "UNAUTHENTICATED",
        RefusalKind.Forbidden => "PERMISSION_DENIED",
        RefusalKind.NotFound => "RESOURCE_DOES_NOT_EXIST",
        RefusalKind.Conflict => "RESOURCE_CONFLICT",
        RefusalKind.Stale => "ABORTED",
        RefusalKind.LimitReached => "REQUEST_LIMIT_EXCEEDED",
        RefusalKind.Unavailable => "TEMPORARILY_UNAVAILABLE",
        _ => "INVALID_PARAMETER_VALUE",
    } : refusal.Code;

    private static int Status(Refusal refusal, string code) => code switch
    {
        "RESOURCE_ALREADY_EXISTS" => 400,
        "NOT_IMPLEMENTED" => 501,
        _ => Problems.Status(refusal.Kind),
    };
}
