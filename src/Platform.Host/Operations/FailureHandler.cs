using System.Diagnostics;
using System.Text.Json;
using JasperFx;
using Marten.Exceptions;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Diagnostics;
using Npgsql;
using Platform.Host.Security;
using Platform.Host.Writes;
using Platform.Kernel;

namespace Platform.Host.Operations;

/// <summary>The last line: input that could not even be read, two writers at once, a database that is away. Everything else is unknown and
/// is told as a trace id and nothing more.</summary>
internal sealed class FailureHandler(ILogger<FailureHandler> log) : IExceptionHandler
{
    public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
    {
        // The client has gone: its request was cancelled, or its connection reset while the body was read.
        if ((exception is OperationCanceledException && httpContext.RequestAborted.IsCancellationRequested) || exception is ConnectionResetException)
        {
            httpContext.Response.StatusCode = 499;
            return true;
        }

        if (Expected(exception, httpContext.Request) is { } refusal)
        {
            await RefusalWriter.WriteAsync(httpContext, refusal);
            return true;
        }

        var trace = Activity.Current?.TraceId.ToString() ?? httpContext.TraceIdentifier;
        log.LogError(exception, "Unknown failure of {Method} {Route}, trace {Trace}.", httpContext.Request.Method, httpContext.GetEndpoint()?.DisplayName, trace);
        if (MlflowRefusals.Concerns(httpContext.Request))
        {
            await MlflowRefusals.WriteFailureAsync(httpContext, trace);
            return true;
        }

        httpContext.Response.StatusCode = 500;
        await (httpContext.Request.Path.StartsWithSegments("/v2")
            ? httpContext.Response.WriteAsJsonAsync(new { error = $"Something failed here; trace {trace}." }, (JsonSerializerOptions?)null, "application/json", cancellationToken)
            : TypedResults.Problem(title: "Something failed here.", detail: "It has been logged under this trace id.", statusCode: 500, type: Problems.TypePrefix + "unknown",
                extensions: new Dictionary<string, object?> { ["traceId"] = trace }).ExecuteAsync(httpContext));
        return true;
    }

    /// <summary>For what the framework refuses by a status alone, before any code of ours.</summary>
    public static Refusal? OfStatus(int? status) => status switch
    {
        404 => new(RefusalKind.NotFound, "no-such-address", "There is nothing at this address.", null, "Compare it with the API reference at /docs."),
        405 => Refusal.Invalid("method-not-allowed", "This address does not take this method.", null, "Compare the request with the API reference at /docs."),
        413 => TooLarge,
        _ => null,
    };

    private static readonly Refusal TooLarge = new(RefusalKind.TooLarge, "too-large", "The request's body is over the limit of this route.", "body", "Send less at a time.");

    private static Refusal? Expected(Exception exception, HttpRequest request) => exception switch
    {
        RefusedWriteException refused => refused.Refusal,
        BadHttpRequestException { InnerException: JsonException json } => Unreadable(json),
        BadHttpRequestException { StatusCode: 413 } => TooLarge,
        BadHttpRequestException { StatusCode: 415 } => new(RefusalKind.Unsupported, "unsupported-content", "This route does not read that kind of content.", "Content-Type", "Send application/json."),
        BadHttpRequestException bad => Refusal.Invalid("bad-request", bad.Message, null, "Compare the request with the API reference at /docs."),
        JasperFx.Events.EventStreamUnexpectedMaxEventIdException or ConcurrencyException or JasperFx.Events.ExistingStreamIdCollisionException or Marten.Exceptions.ExistingStreamIdCollisionException =>
            new(request.Headers.IfMatch.Count > 0 ? RefusalKind.Stale : RefusalKind.Conflict, "changed-meanwhile", "Someone else changed it at the same moment; nothing of this request was saved.", null, "Read it again and repeat the request if it still makes sense."),
        NpgsqlException { IsTransient: true } or MartenCommandException { InnerException: NpgsqlException { IsTransient: true } } =>
            new(RefusalKind.Unavailable, "database-away", "The database cannot be reached right now; nothing of this request was saved.", null, "Try again in a moment.") { RetryAfter = TimeSpan.FromSeconds(2) },
        _ => null,
    };

    private static Refusal Unreadable(JsonException json)
    {
        var field = json.Path is { Length: > 2 } path ? path[2..] : null;
        var where = json.LineNumber is { } line ? $" (line {line + 1}, byte {json.BytePositionInLine})" : "";
        return json.Message.Contains("could not be mapped", StringComparison.Ordinal)
            ? Refusal.Invalid("unknown-field", $"The body has a field that this route does not know: '{field}'.", field, "Remove it, or compare its spelling with the API reference at /docs.")
            // The reader's own complaint inside is one of syntax, wherever the place.
            : field is not null && json.InnerException is not JsonException
                ? Refusal.Invalid("wrong-type", $"The field '{field}' does not have the type this route expects{where}.", field, "Compare the request with the API reference at /docs.")
                : Refusal.Invalid("malformed-json", $"The body is not the JSON object this route expects{where}.", "body", "Check the JSON near that place; every name and text needs double quotes, and required fields must be there.");
    }
}
