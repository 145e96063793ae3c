using System.Buffers;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Platform.Kernel;

namespace Platform.Inference.Predict;

/// <summary>A request's whole body, read from the pipe without copying when it lies in one piece. Whatever content type the client names, or none,
/// it is read the same way: real clients send none, or a wrong one.</summary>
internal static class RequestBody
{
    /// <summary>The body, to be given back with <see cref="Done"/>; or a refusal when it is too large or packed.</summary>
    public static async ValueTask<Result<ReadOnlySequence<byte>>> ReadAsync(HttpContext context, long limit)
    {
        var request = context.Request;
        if (request.Headers.ContentEncoding.Count > 0 && request.Headers.ContentEncoding != "identity")
            return new Refusal(RefusalKind.Unsupported, "unknown-encoding", $"The body's Content-Encoding '{request.Headers.ContentEncoding}' cannot be read here.", null, "Send the body as it is, without compression.");
        if (request.ContentLength > limit) return TooLarge(limit);
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size) size.MaxRequestBodySize = limit + 1;
        try
        {
            while (true)
            {
                var read = await request.BodyReader.ReadAsync(context.RequestAborted);
                if (read.Buffer.Length > limit)
                {
                    request.BodyReader.AdvanceTo(read.Buffer.End);
                    return TooLarge(limit);
                }
                if (read.IsCompleted) return read.Buffer;
                request.BodyReader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
            }
        }
        catch (BadHttpRequestException failure)
        {
            return failure.StatusCode == StatusCodes.Status413PayloadTooLarge ? TooLarge(limit)
                : Refusal.Invalid("bad-body", "The body did not arrive whole: " + failure.Message, null, "Send the body again.");
        }
    }

    public static void Done(HttpContext context, ReadOnlySequence<byte> body) => context.Request.BodyReader.AdvanceTo(body.End);

    private static Refusal TooLarge(long limit) => new(RefusalKind.TooLarge, "body-too-large", $"The body is larger than {limit:N0} bytes.", null, "Send fewer rows a call.");
}
