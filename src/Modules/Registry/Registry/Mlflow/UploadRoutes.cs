using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Platform.Kernel;
using Platform.Registry.Tracking;

namespace Platform.Registry.Mlflow;

/// <summary><c>mlflow-artifacts/mpu/…</c>: artifacts in parts. A client is given an address for each part and puts the parts there without its key, as it would put them
/// to a cloud's store; each address carries a signature of its tenant, upload, part and time.</summary>
internal static class UploadRoutes
{
    /// <summary>A client is given all addresses at once, so they hold as long as a large file takes.</summary>
    private static readonly TimeSpan AddressesHold = TimeSpan.FromHours(6);

    internal static void Map(MlflowRoutes.Table routes)
    {
        routes.Post("mlflow-artifacts/mpu/create/{**path}", Permissions.WriteRuns, "Begin an upload in parts", CreateAsync);
        routes.Post("mlflow-artifacts/mpu/complete/{**path}", Permissions.WriteRuns, "Complete an upload in parts", CompleteAsync);
        routes.Post("mlflow-artifacts/mpu/abort/{**path}", Permissions.WriteRuns, "Give up an upload in parts", AbortAsync);
    }

    /// <summary>Where parts are put.</summary>
    internal static void MapParts(IEndpointRouteBuilder root) =>
        root.MapPut("mlflow/parts/{tenant}/{upload}/{part}", async (HttpContext context) =>
            {
                if (await PutPartAsync(context) is { } refusal) await MlflowRefusals.WriteAsync(context, refusal);
            })
            .WithName("PutUploadPart").IsOpen("The address itself is the credential: it is signed for one part of one upload, and for hours.").ExcludeFromDescription();

    private static async Task<Result<object?>> CreateAsync(MlflowCall call)
    {
        var path = PathOf(call);
        var count = call.Int64("num_parts") ?? 1;
        if (count is < 1 or > Uploads.MostParts) call.Refuse($"Invalid value {count} for parameter 'num_parts' supplied: an upload has 1 to {Uploads.MostParts} parts.");
        if (call.Wrong is { } wrong) return wrong;
        if (ArtifactRoutes.IsVersions(path)) return ArtifactRoutes.VersionsAreFixed;
        var upload = await call.Get<Uploads>().BeginAsync(call.Tenant, path, (int)count, call.Aborted);
        var expires = (call.Get<TimeProvider>().GetUtcNow() + AddressesHold).ToUnixTimeSeconds();
        var key = await KeyAsync(call.Context, call.Tenant);
        var request = call.Context.Request;
        var host = call.Get<IConfiguration>()["PLATFORM_PUBLIC_URL"] is { Length: > 0 } known ? known.TrimEnd('/') : $"{request.Scheme}://{request.Host}";
        return Result<object?>.Ok(new
        {
            UploadId = upload.Id.ToString(),
            Credentials = Enumerable.Range(1, upload.Parts).Select(part => new
            {
                Url = $"{host}/mlflow/parts/{call.Tenant}/{upload.Id}/{part}?expires={expires}&signature={Signature(key, call.Tenant, upload.Id, part, expires)}",
                PartNumber = part,
                Headers = new Dictionary<string, string>(),
            }),
        });
    }

    private static async Task<Result<object?>> CompleteAsync(MlflowCall call)
    {
        var (path, id) = (PathOf(call), UploadId(call));
        var sent = call.Objects("parts", part => ((int)Math.Clamp(part.Int64("part_number") ?? 0, 0, int.MaxValue), part.Required("etag").Trim('"')));
        if (sent.Count == 0) call.Refuse("Missing value for required parameter 'parts'.");
        if (sent.Any(part => part.Item2 is not { Length: 64 } hash || !hash.All(char.IsAsciiHexDigitLower))) call.Refuse("An ETag is not one that was given for a part.");
        if (call.Wrong is { } wrong) return wrong;
        return ExperimentRoutes.Nothing(await call.Get<Uploads>().CompleteAsync(call.Tenant, id, path, sent, call.Get<RegistryLimits>().MaxArtifactBytes, call.Aborted));
    }

    private static async Task<Result<object?>> AbortAsync(MlflowCall call)
    {
        var (_, id) = (PathOf(call), UploadId(call));
        if (call.Wrong is { } wrong) return wrong;
        return ExperimentRoutes.Nothing(await call.Get<Uploads>().AbortAsync(call.Tenant, id, call.Aborted));
    }

    private static async Task<Refusal?> PutPartAsync(HttpContext context)
    {
        var (route, query) = (context.Request.RouteValues, context.Request.Query);
        if (!Names.IsSlug((string?)route["tenant"]) || !Guid.TryParse((string?)route["upload"], out var upload)
            || !int.TryParse((string?)route["part"], NumberStyles.None, CultureInfo.InvariantCulture, out var part) || !long.TryParse(query["expires"], NumberStyles.None, CultureInfo.InvariantCulture, out var expires))
        {
            return NotSigned;
        }

        var tenant = (string)route["tenant"]!;
        if (context.RequestServices.GetRequiredService<TimeProvider>().GetUtcNow().ToUnixTimeSeconds() > expires) return NotSigned;
        byte[] key;
        try
        {
            key = await KeyAsync(context, tenant);
        }
        catch (InvalidOperationException)
        {
            // There is no such tenant, which is told like a signature that is none.
            return NotSigned;
        }

        if (!CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(Signature(key, tenant, upload, part, expires)), Encoding.UTF8.GetBytes(query["signature"].ToString()))) return NotSigned;
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit) limit.MaxRequestBodySize = null;
        var put = await context.RequestServices.GetRequiredService<Uploads>()
            .PutPartAsync(tenant, upload, part, context.Request.Body, context.RequestServices.GetRequiredService<RegistryLimits>().MaxArtifactBytes, context.RequestAborted);
        if (put.Refusal is { } refusal) return refusal;
        context.Response.Headers.ETag = $"\"{put.Value.Sha256}\"";
        return null;
    }

    /// <summary>Where the artifact will be: the folder of the address, and the name of the client's file, whichever system it is on.</summary>
    private static string PathOf(MlflowCall call)
    {
        var name = call.Required("path");
        name = name[(name.LastIndexOfAny(['/', '\\']) + 1)..];
        var folder = ((string?)call.Context.Request.RouteValues["path"] ?? "").TrimEnd('/');
        var path = folder.Length == 0 ? name : $"{folder}/{name}";
        if (call.Wrong is null && !Artifacts.IsSound(path)) call.Refuse("Invalid path");
        return path;
    }

    private static Guid UploadId(MlflowCall call)
    {
        var given = call.Required("upload_id");
        if (call.Wrong is null && !Guid.TryParse(given, out _)) call.Refuse($"Invalid value '{given}' for parameter 'upload_id' supplied.");
        return Guid.TryParse(given, out var id) ? id : default;
    }

    /// <summary>The tenant's own, made of its data key: a tenant that was erased has no addresses either.</summary>
    private static async Task<byte[]> KeyAsync(HttpContext context, string tenant) => HKDF.DeriveKey(
        HashAlgorithmName.SHA256, await context.RequestServices.GetRequiredService<ITenantKeys>().DataKeyAsync(tenant, context.RequestAborted), 32, info: "registry upload addresses"u8.ToArray());

    private static string Signature(byte[] key, string tenant, Guid upload, int part, long expires) =>
        Convert.ToHexStringLower(HMACSHA256.HashData(key, Encoding.ASCII.GetBytes($"{tenant}/{upload:N}/{part.ToString(CultureInfo.InvariantCulture)}/{expires.ToString(CultureInfo.InvariantCulture)}")));

    private static readonly Refusal NotSigned = Refusal.Forbidden("PERMISSION_DENIED", "This is no address that was given for a part of an upload, or its time is over.");
}
