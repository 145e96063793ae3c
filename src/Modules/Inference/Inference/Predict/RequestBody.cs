using System.Buffers;
using System.IO.Compression;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Platform.Kernel;

namespace Platform.Inference.Predict;

/// <summary>A request's whole body, read from the pipe without copying when it lies in one piece, and unpacked when it came packed. Whatever content type
/// the client names, or none, it is read the same way: real clients send none, or a wrong one. To be disposed when it has been read.</summary>
internal readonly struct RequestBody : IDisposable
{
    private readonly HttpContext? from;
    private readonly byte[]? unpacked;

    private RequestBody(ReadOnlySequence<byte> bytes, HttpContext? from, byte[]? unpacked) => (Bytes, this.from, this.unpacked) = (bytes, from, unpacked);

    public ReadOnlySequence<byte> Bytes { get; }

    /// <summary>The body; or a refusal when it is too large, packed or not, or packed in a way that is not known.</summary>
    public static async ValueTask<Result<RequestBody>> ReadAsync(HttpContext context, long limit)
    {
        var request = context.Request;
        var encoding = request.Headers.ContentEncoding.Count == 0 ? "identity" : request.Headers.ContentEncoding.ToString();
        if (encoding is not ("identity" or "gzip" or "deflate"))
            return new Refusal(RefusalKind.Unsupported, "unknown-encoding", $"The body's Content-Encoding '{encoding}' cannot be read here.", "Content-Encoding", "Send the body as it is, or packed with gzip or deflate.");
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
                if (read.IsCompleted)
                {
                    var body = new RequestBody(read.Buffer, context, null);
                    if (encoding is "identity") return body;
                    using (body) return Unpack(read.Buffer, encoding, limit);
                }
                request.BodyReader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
            }
        }
        catch (BadHttpRequestException failure)
        {
            return failure.StatusCode == StatusCodes.Status413PayloadTooLarge ? TooLarge(limit)
                : Refusal.Invalid("bad-body", "The body did not arrive whole: " + failure.Message, "body", "Send the body again.");
        }
    }

    public void Dispose()
    {
        from?.Request.BodyReader.AdvanceTo(Bytes.End);
        if (unpacked is not null) ArrayPool<byte>.Shared.Return(unpacked);
    }

    /// <summary>Never holds more than the limit and a byte, however much would come out.</summary>
    private static Result<RequestBody> Unpack(ReadOnlySequence<byte> packed, string encoding, long limit)
    {
        using var source = new MemoryStream(packed.ToArray(), writable: false);
        // What HTTP calls deflate is the zlib format (RFC 9110, §8.4.1.2).
        using Stream stream = encoding is "gzip" ? new GZipStream(source, CompressionMode.Decompress) : new ZLibStream(source, CompressionMode.Decompress);
        var buffer = ArrayPool<byte>.Shared.Rent((int)Math.Min(limit + 1, Math.Max(4096, packed.Length * 4)));
        var length = 0;
        Refusal refusal;
        try
        {
            while (true)
            {
                if (length > limit)
                {
                    refusal = TooLarge(limit);
                    break;
                }
                if (length == buffer.Length) Grow(ref buffer, length);
                var read = stream.Read(buffer, length, (int)Math.Min(buffer.Length - length, limit + 1 - length));
                if (read == 0) return new RequestBody(new ReadOnlySequence<byte>(buffer, 0, length), null, buffer);
                length += read;
            }
        }
        catch (InvalidDataException)
        {
            refusal = Refusal.Invalid("bad-encoding", $"The body is not what its Content-Encoding '{encoding}' says, or it is cut short.", "Content-Encoding", "Pack the body again, or send it as it is.");
        }
        ArrayPool<byte>.Shared.Return(buffer);
        return refusal;
    }

    private static void Grow(ref byte[] buffer, int used)
    {
        var larger = ArrayPool<byte>.Shared.Rent(buffer.Length * 2);
        buffer.AsSpan(0, used).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(buffer);
        buffer = larger;
    }

    private static Refusal TooLarge(long limit) => new(RefusalKind.TooLarge, "body-too-large", $"The body is larger than {limit:N0} bytes.", "body", "Send fewer rows a call.");
}
