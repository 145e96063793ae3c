using System.Net.Mime;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Net.Http.Headers;
using Platform.Kernel;

namespace Platform.Features.Datasets;

/// <summary>The CSV in a request, without buffering it: the body itself, or the first file of a multipart form.</summary>
internal static class CsvUpload
{
    /// <summary>Room for the form around the file, so that a file of exactly the limit still fits.</summary>
    private const long FormBytes = 1 << 20;

    private const string HowToSend = "Send the file as text/csv (curl -H 'Content-Type: text/csv' --data-binary @sales.csv), or as a multipart form (curl -F file=@sales.csv).";

    private static readonly string[] Kinds = [MediaTypeNames.Text.Csv, MediaTypeNames.Text.Plain, MediaTypeNames.Application.Octet, "application/csv"];

    public static async Task<Result<Stream>> OpenAsync(HttpRequest request, long maxBytes, CancellationToken ct)
    {
        if (request.ContentLength > maxBytes + FormBytes) return TooLarge(maxBytes);
        // The server's own limit is for JSON; this route has one of its own.
        if (request.HttpContext.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit) limit.MaxRequestBodySize = maxBytes + FormBytes;

        if (!MediaTypeHeaderValue.TryParse(request.ContentType, out var type) || Kinds.Contains(type.MediaType.Value, StringComparer.OrdinalIgnoreCase)) return request.Body;
        if (!type.MediaType.Equals(MediaTypeNames.Multipart.FormData, StringComparison.OrdinalIgnoreCase) || HeaderUtilities.RemoveQuotes(type.Boundary) is not { Length: > 0 and <= 200 } boundary)
        {
            return new Refusal(RefusalKind.Unsupported, "unsupported-content", $"This route takes a CSV, not {type.MediaType}.", "Content-Type", HowToSend);
        }

        try
        {
            var reader = new MultipartReader(boundary.ToString(), request.Body) { BodyLengthLimit = maxBytes + FormBytes };
            while (await reader.ReadNextSectionAsync(ct) is { } section)
            {
                if (section.GetContentDispositionHeader() is { } disposition && disposition.IsFileDisposition()) return section.Body;
            }
        }
        catch (Exception broken) when (broken is InvalidDataException or IOException)
        {
            return Refusal.Invalid("malformed-form", "The multipart form cannot be read.", "file", HowToSend);
        }

        return Refusal.Invalid("no-file", "The multipart form holds no file.", "file", HowToSend);
    }

    /// <summary>Copies the content to a file; answers the refusal when it is over the limit or breaks off.</summary>
    public static async Task<Refusal?> ReceiveAsync(Stream content, Stream file, long maxBytes, CancellationToken ct)
    {
        var buffer = new byte[1 << 16];
        long received = 0;
        while (true)
        {
            int read;
            try
            {
                read = await content.ReadAsync(buffer, ct);
            }
            catch (InvalidDataException)
            {
                return TooLarge(maxBytes);
            }
            catch (IOException broken) when (broken is not BadHttpRequestException)
            {
                return Refusal.Invalid("incomplete-upload", "The upload ended before the file did.", "file", "Send the file again.");
            }

            if (read == 0) return null;
            received += read;
            if (received > maxBytes) return TooLarge(maxBytes);
            await file.WriteAsync(buffer.AsMemory(0, read), ct);
        }
    }

    private static Refusal TooLarge(long maxBytes) =>
        new(RefusalKind.TooLarge, "too-large", $"The file is over the limit of {maxBytes:N0} bytes.", "file", "Send a smaller file, or ask the operator to raise the limit.");
}
