using System.Buffers;
using System.IO.Pipelines;
using System.Net.Mime;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Net.Http.Headers;
using Platform.Kernel;
using Platform.Registry.Intake;

namespace Platform.Registry.Models;

/// <summary>The file in a request, without buffering it: the body itself, or the first file of a multipart form. A form may hold an input example too, before
/// or after the file.</summary>
internal sealed class Upload
{
    public const string HashHeader = "X-Content-SHA256", SignatureHeader = "X-Content-Signature", ExampleField = "example";

    /// <summary>Room for the form around the file, so that a file of exactly the limit still fits.</summary>
    private const long FormBytes = 1 << 20;

    /// <summary>How much is looked at before anything is written down.</summary>
    private const int HeadBytes = 64 << 10;

    private readonly MultipartReader? form;

    private Upload(Stream content, byte[] head, string name, string? sha256, string? signature, byte[]? example, MultipartReader? form) =>
        (Content, Head, Name, ExpectedSha256, Signature, Example, this.form) = (content, head, name, sha256, signature, example, form);

    /// <summary>Read once, to its end.</summary>
    public Stream Content { get; }

    /// <summary>The content's beginning, which <see cref="Content"/> gives too.</summary>
    public byte[] Head { get; }

    /// <summary>What the sender calls the file.</summary>
    public string Name { get; }

    /// <summary>What the sender says the content's hash is; null when they did not say.</summary>
    public string? ExpectedSha256 { get; }

    /// <summary>A detached signature in base64; null when there is none.</summary>
    public string? Signature { get; }

    /// <summary>The input example; after <see cref="FinishAsync"/> also one that came behind the file.</summary>
    public byte[]? Example { get; private set; }

    public static async Task<Result<Upload>> OpenAsync(HttpRequest request, long maxBytes, CancellationToken ct)
    {
        if (request.ContentLength > maxBytes + FormBytes)
        {
            return new Refusal(RefusalKind.TooLarge, "too-large", $"The file is over the limit of {maxBytes:N0} bytes.", "file", "Send a smaller file, or ask the operator to raise the limit.");
        }

        // The server's own limit is for JSON; this route has one of its own.
        if (request.HttpContext.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit) limit.MaxRequestBodySize = maxBytes + FormBytes + InputExample.LargestBytes;

        var isForm = MediaTypeHeaderValue.TryParse(request.ContentType, out var type) && type.MediaType.Equals(MediaTypeNames.Multipart.FormData, StringComparison.OrdinalIgnoreCase);
        var hash = HashOf(request.Headers, isForm);
        if (hash.Refusal is { } badHash) return badHash;
        var signature = request.Headers.TryGetValue(SignatureHeader, out var signed) ? signed.ToString() : null;
        if (type is null || type.MediaType.Equals(MediaTypeNames.Application.Octet, StringComparison.OrdinalIgnoreCase))
        {
            return await WithHeadAsync(request.Body, "the file", hash.ValueOrDefault, signature, null, null, ct);
        }

        if (!isForm || HeaderUtilities.RemoveQuotes(type.Boundary) is not { Length: > 0 and <= 200 } boundary)
        {
            return new Refusal(RefusalKind.Unsupported, "unsupported-content", $"This route takes a file, not {type.MediaType}.", "Content-Type",
                "Send the file as application/octet-stream (curl --data-binary @model.onnx), or as a multipart form (curl -F file=@model.onnx).");
        }

        var reader = new MultipartReader(boundary.ToString(), request.Body) { BodyLengthLimit = maxBytes + FormBytes };
        byte[]? example = null;
        try
        {
            while (await reader.ReadNextSectionAsync(ct) is { } section)
            {
                if (section.GetContentDispositionHeader() is not { } disposition) continue;
                if (IsExample(disposition))
                {
                    var read = await ExampleAsync(section, ct);
                    if (read.Refusal is { } tooLarge) return tooLarge;
                    example = read.Value;
                }
                else if (disposition.IsFileDisposition())
                {
                    var name = HeaderUtilities.RemoveQuotes(disposition.FileName).ToString();
                    return await WithHeadAsync(section.Body, name.Length > 0 ? name : "the file", hash.ValueOrDefault, signature, example, reader, ct);
                }
            }
        }
        catch (Exception broken) when (IsBroken(broken))
        {
            return Malformed;
        }

        return Refusal.Invalid("no-file", "The multipart form holds no file.", "file", "Send one file: curl -F file=@model.onnx.");
    }

    /// <summary>A file that comes by another way than a request.</summary>
    public static Task<Upload> OfAsync(Stream content, string name, CancellationToken ct) => WithHeadAsync(content, name, null, null, null, null, ct);

    /// <summary>Reads what stands behind the file in a form. The file must have been read.</summary>
    public async Task<Refusal?> FinishAsync(CancellationToken ct)
    {
        try
        {
            while (form is not null && Example is null && await form.ReadNextSectionAsync(ct) is { } section)
            {
                if (section.GetContentDispositionHeader() is not { } disposition || !IsExample(disposition)) continue;
                var read = await ExampleAsync(section, ct);
                if (read.Refusal is { } tooLarge) return tooLarge;
                Example = read.Value;
            }
        }
        catch (Exception broken) when (IsBroken(broken))
        {
            return Malformed;
        }

        return null;
    }

    /// <summary>The hash the sender gives, by our own header or by one of RFC 9530's, in hex. Those of a form are over the form, which nobody keeps.</summary>
    private static Result<string?> HashOf(IHeaderDictionary headers, bool isForm)
    {
        if (headers.TryGetValue(HashHeader, out var hex)) return Result<string?>.Ok(hex.ToString());
        foreach (var name in new[] { "Repr-Digest", "Content-Digest" })
        {
            if (!headers.TryGetValue(name, out var digest)) continue;
            if (isForm) return Refusal.Invalid("digest-of-a-form", $"{name} is over the whole form, and what is kept is the file in it.", name, $"Send the file as application/octet-stream, or give its hash in {HashHeader}.");
            // A dictionary of byte sequences: sha-256=:…:, sha-512=:…:. Algorithms that are not checked are passed over, as the RFC has it.
            foreach (var member in digest.ToString().Split(',', StringSplitOptions.TrimEntries))
            {
                if (!member.StartsWith("sha-256=", StringComparison.OrdinalIgnoreCase)) continue;
                var value = member["sha-256=".Length..].Split(';')[0].Trim();
                var bytes = new byte[64];
                return value is [':', .., ':'] && Convert.TryFromBase64String(value[1..^1], bytes, out var length) && length == SHA256.HashSizeInBytes
                    ? Result<string?>.Ok(Convert.ToHexStringLower(bytes.AsSpan(0, length)))
                    : Refusal.Invalid("bad-digest", $"'{value}' is not a SHA-256 in base64 between colons.", name, $"Send it as RFC 9530 has it: {name}: sha-256=:…:.");
            }
        }

        return Result<string?>.Ok(null);
    }

    /// <summary>Reads the beginning ahead; whoever reads the content gets it first.</summary>
    private static async Task<Upload> WithHeadAsync(Stream body, string name, string? sha256, string? signature, byte[]? example, MultipartReader? form, CancellationToken ct)
    {
        var reader = PipeReader.Create(body, new StreamPipeReaderOptions(bufferSize: HeadBytes, leaveOpen: true));
        var read = await reader.ReadAtLeastAsync(HeadBytes, ct);
        var head = read.Buffer.ToArray();
        reader.AdvanceTo(read.Buffer.Start);
        return new(reader.AsStream(), head, name, sha256, signature, example, form);
    }

    private static bool IsExample(ContentDispositionHeaderValue disposition) => HeaderUtilities.RemoveQuotes(disposition.Name).Equals(ExampleField, StringComparison.Ordinal);

    private static async Task<Result<byte[]>> ExampleAsync(MultipartSection section, CancellationToken ct)
    {
        var example = new byte[InputExample.LargestBytes + 1];
        var length = await section.Body.ReadAtLeastAsync(example, example.Length, throwOnEndOfStream: false, ct);
        return length > InputExample.LargestBytes
            ? new Refusal(RefusalKind.TooLarge, "too-large", $"The input example is over the limit of {InputExample.LargestBytes:N0} bytes.", ExampleField, "Send a row or two.")
            : example[..length];
    }

    private static bool IsBroken(Exception failure) => failure is InvalidDataException || (failure is IOException && failure is not BadHttpRequestException);

    private static Refusal Malformed => Refusal.Invalid("malformed-form", "The multipart form cannot be read.", "file", "Send the file as application/octet-stream instead.");
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
