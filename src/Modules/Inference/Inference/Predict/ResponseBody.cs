using System.IO.Compression;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace Platform.Inference.Predict;

/// <summary>Sends an answer that lies in memory; packed when the client asks for it and there is enough of it to be worth the time.</summary>
internal static class ResponseBody
{
    private const int WorthPacking = 16 << 10;

    public static Task SendAsync(HttpContext context, ReadOnlyMemory<byte> json)
    {
        var response = context.Response;
        response.ContentType = "application/json";
        if (json.Length >= WorthPacking && Asked(context.Request) is { } encoding) return PackAsync(context, [json], encoding);
        response.ContentLength = json.Length;
        return response.BodyWriter.WriteAsync(json, context.RequestAborted).AsTask();
    }

    public static async Task SendAsync(HttpContext context, IReadOnlyList<ReadOnlyMemory<byte>> parts)
    {
        var response = context.Response;
        response.ContentType = "application/octet-stream";
        var length = parts.Sum(part => (long)part.Length);
        if (length >= WorthPacking && Asked(context.Request) is { } encoding)
        {
            await PackAsync(context, parts, encoding);
            return;
        }
        response.ContentLength = length;
        foreach (var part in parts) await response.BodyWriter.WriteAsync(part, context.RequestAborted);
    }

    private static async Task PackAsync(HttpContext context, IReadOnlyList<ReadOnlyMemory<byte>> parts, string encoding)
    {
        context.Response.Headers.ContentEncoding = encoding;
        context.Response.Headers.Vary = HeaderNames.AcceptEncoding;
        var body = context.Response.BodyWriter.AsStream(leaveOpen: true);
        await using Stream packed = encoding is "gzip" ? new GZipStream(body, CompressionLevel.Fastest) : new ZLibStream(body, CompressionLevel.Fastest);
        foreach (var part in parts) await packed.WriteAsync(part, context.RequestAborted);
    }

    /// <summary>gzip or deflate, by the client's preference, and nothing else: public clients that let brotli be asked for cannot read it.</summary>
    private static string? Asked(HttpRequest request)
    {
        if (request.Headers.AcceptEncoding.Count == 0 || !StringWithQualityHeaderValue.TryParseList(request.Headers.AcceptEncoding, out var asked)) return null;
        return asked.Where(one => one.Quality is not 0).OrderByDescending(one => one.Quality ?? 1)
            .Select(one => one.Value.ToString().ToLowerInvariant()).FirstOrDefault(one => one is "gzip" or "deflate");
    }
}
