using System.Diagnostics;
using Platform.Kernel;

namespace Platform.Host.Requests;

/// <summary>What every request has around it but those on the prediction path: a trace with the id its caller sent or a new one, its id and address in every
/// line that is logged, and a way for the store to find it. For a prediction, making these was half of what it allocated.</summary>
internal sealed class RequestSurroundings(RequestDelegate next, CurrentRequest current, ILogger<RequestSurroundings> log)
{
    public static bool AreNeeded(HttpContext context) => context.GetEndpoint()?.Metadata.GetMetadata<NeedsNothingAround>() is null;

    public async Task InvokeAsync(HttpContext context)
    {
        // With a collector there is one already.
        using var trace = Activity.Current is null ? Begin(context) : null;
        using var lines = log.BeginScope(new KeyValuePair<string, object>[] { new("RequestId", context.TraceIdentifier), new("RequestPath", context.Request.Path.ToString()) });
        using var request = current.Begin(context);
        await next(context);
    }

    private static Activity Begin(HttpContext context)
    {
        var trace = new Activity("Request");
        if (context.Request.Headers.TraceParent is [{ } parent] && ActivityContext.TryParse(parent, null, isRemote: true, out var known)) trace.SetParentId(known.TraceId, known.SpanId, known.TraceFlags);
        trace.Start();
        context.TraceIdentifier = trace.TraceId.ToString();
        return trace;
    }
}
