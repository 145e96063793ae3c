using Marten;
using Microsoft.Extensions.Primitives;
using Platform.Host.Requests;
using Platform.Kernel;

namespace Platform.Host.Writes;

/// <summary><c>ETag</c> and <c>If-Match</c> (RFC 9110, 13.1.1) for every route that shows or writes a thing with a history: the tag is the revision
/// of its stream. The comparison is made where the events are saved, so it and the write are one transaction, and no handler has to think of it.</summary>
internal sealed class IfMatch(CurrentRequest current) : DocumentSessionListenerBase
{
    public override Task BeforeSaveChangesAsync(IDocumentSession session, CancellationToken token)
    {
        // The first thing a request saves is what it was sent for; what follows from it (a plan compiled anew) is not.
        if (current.Context is not { } context || context.Request.Headers.IfMatch.Count == 0 || context.Features.Get<Judged>() is not null) return Task.CompletedTask;
        context.Features.Set(new Judged());
        if (session.PendingChanges.Streams() is not [var stream, ..])
        {
            throw new RefusedWriteException(Refusal.Invalid("if-match-unsupported", "This route writes nothing that has a revision.", "If-Match", "Leave the header out."));
        }

        var now = stream.ExpectedVersionOnServer ?? 0;
        if (Names(context.Request.Headers.IfMatch, now)) return Task.CompletedTask;
        throw new RefusedWriteException(new Refusal(
            RefusalKind.Stale, "changed-since-read", now == 0 ? "There is nothing here that the tag could belong to." : $"It is at revision \"{now}\" now, and not at the one you name.",
            "If-Match", "Read it again, and send the new ETag if your change still makes sense."));
    }

    public override Task AfterCommitAsync(IDocumentSession session, Marten.Services.IChangeSet commit, CancellationToken token)
    {
        if (current.Context is { } context && context.Features.Get<WrittenRevision>() is null && commit.GetStreams().ToArray() is [var stream])
        {
            context.Features.Set(new WrittenRevision((stream.ExpectedVersionOnServer ?? 0) + stream.Events.Count));
        }

        return Task.CompletedTask;
    }

    /// <summary>Puts the tag on answers, and spares a reader what it has already.</summary>
    public static async ValueTask<object?> TagAsync(EndpointFilterInvocationContext call, EndpointFilterDelegate next)
    {
        var answer = await next(call);
        var result = answer is INestedHttpResult nested ? nested.Result : answer;
        if (result is not IStatusCodeHttpResult { StatusCode: >= 200 and < 300 }) return answer;
        var shown = result is IValueHttpResult { Value: IHasRevision has } ? has.Revision : 0;
        // A handler may show what it decided, or what it read after others wrote on: the later of the two is true.
        var revision = Math.Max(shown, call.HttpContext.Features.Get<WrittenRevision>()?.Number ?? 0);
        if (revision == 0) return answer;
        call.HttpContext.Response.Headers.ETag = $"\"{revision}\"";
        return HttpMethods.IsGet(call.HttpContext.Request.Method) && call.HttpContext.Request.Headers.IfNoneMatch.Count > 0 && Names(call.HttpContext.Request.Headers.IfNoneMatch, revision)
            ? TypedResults.StatusCode(StatusCodes.Status304NotModified)
            : answer;
    }

    private static bool Names(StringValues header, long revision) =>
        header.SelectMany(tags => tags?.Split(',', StringSplitOptions.TrimEntries) ?? []).Any(tag => tag == $"\"{revision}\"" || tag == $"W/\"{revision}\"" || (tag == "*" && revision > 0));

    private sealed record Judged;

    private sealed record WrittenRevision(long Number);
}

/// <summary>A write that must not be saved, found out while it was about to be.</summary>
internal sealed class RefusedWriteException(Refusal refusal) : Exception(refusal.Detail)
{
    public Refusal Refusal { get; } = refusal;
}
