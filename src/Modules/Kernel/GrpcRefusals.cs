using System.Globalization;
using Microsoft.AspNetCore.Http;

namespace Platform.Kernel;

/// <summary>Refusals as gRPC says them (https://grpc.github.io/grpc/core/md_doc_statuscodes.html): a status, and the sentence and its mend as the message.</summary>
public static class GrpcRefusals
{
    private const string ContentType = "application/grpc";

    public static bool Concerns(HttpRequest request) => request.ContentType?.StartsWith(ContentType, StringComparison.OrdinalIgnoreCase) is true;

    public static int Status(RefusalKind kind) => kind switch
    {
        RefusalKind.Invalid or RefusalKind.Unsupported => 3,
        RefusalKind.NotFound => 5,
        RefusalKind.Forbidden => 7,
        RefusalKind.TooLarge or RefusalKind.LimitReached => 8,
        RefusalKind.Conflict or RefusalKind.Declined => 9,
        RefusalKind.Stale => 10,
        RefusalKind.Unavailable => 14,
        RefusalKind.Unauthenticated => 16,
        _ => 13,
    };

    public static string Message(Refusal refusal) => $"{refusal.Detail} {refusal.Mend}".TrimEnd();

    /// <summary>Answers a call that reaches no service with the refusal alone, as headers without a body.</summary>
    public static Task WriteAsync(HttpContext context, Refusal refusal)
    {
        var response = context.Response;
        response.StatusCode = StatusCodes.Status200OK;
        response.ContentType = ContentType;
        response.Headers["grpc-status"] = Status(refusal.Kind).ToString(CultureInfo.InvariantCulture);
        response.Headers["grpc-message"] = Uri.EscapeDataString(Message(refusal));
        return Task.CompletedTask;
    }
}
