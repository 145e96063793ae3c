using System.Net.Mime;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Net.Http.Headers;
using Platform.Kernel;

namespace Platform.Registry.Models;

/// <summary>The file in a request, without buffering it: the body itself, or the first file of a multipart form.</summary>
internal static class Upload
{
    public const string HashHeader = "X-Content-SHA256";

    /// <summary>Room for the form around the file, so that a file of exactly the limit still fits.</summary>
    private const long FormBytes = 1 << 20;

    public static async Task<Result<Stream>> OpenAsync(HttpRequest request, long maxBytes, CancellationToken ct)
    {
        if (request.ContentLength > maxBytes + FormBytes)
        {
            return new Refusal(RefusalKind.TooLarge, "too-large", $"The file is over the limit of {maxBytes:N0} bytes.", "file", "Send a smaller file, or ask the operator to raise the limit.");
        }

        // The server's own limit is for JSON; this route has one of its own.
        if (request.HttpContext.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit) limit.MaxRequestBodySize = maxBytes + FormBytes;

        if (!MediaTypeHeaderValue.TryParse(request.ContentType, out var type) || type.MediaType.Equals(MediaTypeNames.Application.Octet, StringComparison.OrdinalIgnoreCase))
        {
            return request.Body;
        }

        if (!type.MediaType.Equals(MediaTypeNames.Multipart.FormData, StringComparison.OrdinalIgnoreCase) || HeaderUtilities.RemoveQuotes(type.Boundary) is not { Length: > 0 and <= 200 } boundary)
        {
            return new Refusal(RefusalKind.Unsupported, "unsupported-content", $"This route takes a file, not {type.MediaType}.", "Content-Type",
                "Send the file as application/octet-stream (curl --data-binary @model.onnx), or as a multipart form (curl -F file=@model.onnx).");
        }

        var reader = new MultipartReader(boundary.ToString(), request.Body) { BodyLengthLimit = maxBytes + FormBytes };
        try
        {
            while (await reader.ReadNextSectionAsync(ct) is { } section)
            {
                if (section.GetContentDispositionHeader() is { } disposition && disposition.IsFileDisposition()) return section.Body;
            }
        }
        catch (Exception broken) when (broken is InvalidDataException or IOException)
        {
            return Refusal.Invalid("malformed-form", "The multipart form cannot be read.", "file", "Send the file as application/octet-stream instead.");
        }

        return Refusal.Invalid("no-file", "The multipart form holds no file.", "file", "Send one file: curl -F file=@model.onnx.");
    }
}

/// <summary>The content had another hash than its sender said.</summary>
internal sealed class HashMismatchException(string actual) : Exception("The content's hash is not the expected one.")
{
    public string Actual { get; } = actual;
}

/// <summary>Passes content through and throws <see cref="HashMismatchException"/> at its end when its SHA-256 is not the expected one,
/// so that whoever stores it while reading throws it away.</summary>
internal sealed class HashCheckedStream(Stream content, string expectedSha256) : Stream
{
    private readonly IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var read = await content.ReadAsync(buffer, cancellationToken);
        return Pass(buffer.Span, read);
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => Pass(buffer.AsSpan(offset), content.Read(buffer, offset, count));

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            hash.Dispose();
            content.Dispose();
        }

        base.Dispose(disposing);
    }

    private int Pass(Span<byte> buffer, int read)
    {
        hash.AppendData(buffer[..read]);
        if (read == 0 && buffer.Length > 0 && Convert.ToHexStringLower(hash.GetCurrentHash()) is var actual && !actual.Equals(expectedSha256, StringComparison.OrdinalIgnoreCase))
        {
            throw new HashMismatchException(actual);
        }

        return read;
    }
}
