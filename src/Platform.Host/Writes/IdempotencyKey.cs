using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using JasperFx;
using Marten;
using Platform.Host.Requests;
using Platform.Kernel;

namespace Platform.Host.Writes;

/// <summary><c>Idempotency-Key</c> on writes under <c>/api/v1</c>: the same key and the same request again get the first one's answer instead of a second
/// effect, whatever died in between. Only answers of success are kept (for a day, up to 1 MiB); a refused call had no effect and may be sent again.</summary>
internal sealed class IdempotencyKey(RequestDelegate next, IDocumentStore store, MasterKey master, TimeProvider time)
{
    public const string Header = "Idempotency-Key", Replayed = "Idempotency-Replayed";
    private const int LargestKept = 1 << 20, LongestKey = 255;
    private static readonly TimeSpan KeptFor = TimeSpan.FromDays(1), LongestCall = TimeSpan.FromMinutes(10), AnswerDue = TimeSpan.FromMinutes(1);

    private readonly byte[] sealing = HKDF.DeriveKey(HashAlgorithmName.SHA256, master.Bytes, 32, info: "idempotent answers"u8.ToArray());

    public Task InvokeAsync(HttpContext context) =>
        context.Request.Headers.TryGetValue(Header, out var key) && !HttpMethods.IsGet(context.Request.Method)
        && context.Request.Path.StartsWithSegments("/api/v1") && context.Features.Get<Caller>() is { } caller
            ? OnceAsync(context, caller, key.ToString())
            : next(context);

    private async Task OnceAsync(HttpContext context, Caller caller, string key)
    {
        if (key.Length is 0 or > LongestKey || key.Any(c => c is < '!' or > '~'))
        {
            await Problems.WriteAsync(context, Refusal.Invalid("bad-idempotency-key", $"The key is not 1 to {LongestKey} visible ASCII characters.", Header, "Send a random key, such as a UUID."));
            return;
        }

        var call = new IdempotentCall(Hash(Encoding.UTF8.GetBytes($"{caller.Subject}\n{key}")), await FingerprintAsync(context), time.GetUtcNow());
        var claimed = await ClaimAsync(caller.Tenant, call, context.RequestAborted);
        if (claimed.Refusal is { } refusal) await Problems.WriteAsync(context, refusal);
        else if (claimed.Value is { Answer: { } kept }) await ReplayAsync(context, kept);
        else await CarryOutAsync(context, caller.Tenant, claimed.Value);
    }

    /// <summary>The call, ours to carry out; or with the answer it had before.</summary>
    private async Task<Result<IdempotentCall>> ClaimAsync(string tenant, IdempotentCall call, CancellationToken ct)
    {
        try
        {
            await using var claim = store.LightweightSession(tenant);
            claim.Insert(call);
            var old = call.StartedAt - KeptFor;
            claim.DeleteWhere<IdempotentCall>(one => one.StartedAt < old);
            await claim.SaveChangesAsync(ct);
            return call with { Version = 1 };
        }
        catch (DocumentAlreadyExistsException)
        {
        }

        await using var session = store.LightweightSession(tenant);
        if (await session.LoadAsync<IdempotentCall>(call.Id, ct) is not { } before) return UnderWay;
        if (before.Fingerprint != call.Fingerprint)
        {
            return Refusal.Conflict("idempotency-key-reused", "This key was used before for another request.", Header, "Send each request that differs with a key of its own.");
        }

        var age = call.StartedAt - before.StartedAt;
        if (before.Answer is not null) return before;
        if (before.Saved)
        {
            return age < AnswerDue ? UnderWay
                : Refusal.Conflict("idempotency-answer-lost", "This request was carried out before, but its answer was lost with the server that made it.", Header, "Read what it was to create or change; do not send it again.");
        }

        if (age < LongestCall) return UnderWay;
        // Whoever began it is dead or will find that it has lost the claim when it saves.
        try
        {
            session.UpdateRevision(call with { Version = before.Version + 1 }, before.Version + 1);
            await session.SaveChangesAsync(ct);
            return call with { Version = before.Version + 1 };
        }
        catch (ConcurrencyException)
        {
            return UnderWay;
        }
    }

    private async Task CarryOutAsync(HttpContext context, string tenant, IdempotentCall call)
    {
        var carrying = new CallUnderWay(tenant, call);
        context.Features.Set(carrying);
        var body = context.Response.Body;
        await using var buffer = new MemoryStream();
        context.Response.Body = buffer;
        var done = false;
        try
        {
            await next(context);
            done = context.Response.StatusCode is >= 200 and < 300 && buffer.Length <= LargestKept;
        }
        finally
        {
            context.Response.Body = body;
            await EndAsync(context, tenant, carrying.Call, done ? buffer.ToArray() : null);
        }

        buffer.Position = 0;
        await buffer.CopyToAsync(body, context.RequestAborted);
    }

    /// <summary>Keeps the answer, or gives the key back when nothing was done. Not given up with the caller: then a retry would find no answer.</summary>
    private async Task EndAsync(HttpContext context, string tenant, IdempotentCall call, byte[]? answer)
    {
        await using var session = store.LightweightSession(tenant);
        var response = context.Response;
        if (answer is not null)
        {
            var kept = new KeptAnswer(response.StatusCode, response.ContentType, response.Headers.Location, response.Headers.ETag, Seal(answer));
            session.UpdateRevision(call with { Answer = kept }, call.Version + 1);
        }
        else if (!call.Saved)
        {
            session.Delete(call);
        }

        await session.SaveChangesAsync(CancellationToken.None);
    }

    private async Task ReplayAsync(HttpContext context, KeptAnswer kept)
    {
        var body = Open(kept.Body);
        var response = context.Response;
        (response.StatusCode, response.ContentType) = (kept.Status, kept.ContentType);
        if (kept.Location is not null) response.Headers.Location = kept.Location;
        if (kept.ETag is not null) response.Headers.ETag = kept.ETag;
        response.Headers[Replayed] = "true";
        if (body.Length > 0) await response.Body.WriteAsync(body, context.RequestAborted);
    }

    /// <summary>What makes two requests the same. A JSON body is read; a file is told by its length and type, because it is too large to be held.</summary>
    private static async Task<string> FingerprintAsync(HttpContext context)
    {
        var request = context.Request;
        var what = $"{request.Method} {request.Path}{request.QueryString}\n{request.ContentType}\n{request.ContentLength}\n";
        if (!request.HasJsonContentType() || request.ContentLength is > LargestKept) return Hash(Encoding.UTF8.GetBytes(what));
        request.EnableBuffering();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(what));
        var piece = ArrayPool<byte>.Shared.Rent(16 << 10);
        try
        {
            for (int read; (read = await request.Body.ReadAsync(piece, context.RequestAborted)) > 0;) hash.AppendData(piece.AsSpan(0, read));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(piece);
        }

        request.Body.Position = 0;
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static string Hash(byte[] of) => Convert.ToHexStringLower(SHA256.HashData(of));

    private byte[] Seal(byte[] plain)
    {
        using var aes = new AesGcm(sealing, 16);
        var sealedBody = new byte[12 + plain.Length + 16];
        RandomNumberGenerator.Fill(sealedBody.AsSpan(0, 12));
        aes.Encrypt(sealedBody.AsSpan(0, 12), plain, sealedBody.AsSpan(12, plain.Length), sealedBody.AsSpan(12 + plain.Length));
        return sealedBody;
    }

    private byte[] Open(byte[] sealedBody)
    {
        using var aes = new AesGcm(sealing, 16);
        var plain = new byte[sealedBody.Length - 28];
        aes.Decrypt(sealedBody.AsSpan(0, 12), sealedBody.AsSpan(12, plain.Length), sealedBody.AsSpan(12 + plain.Length), plain);
        return plain;
    }

    private static Refusal UnderWay => Refusal.Conflict("idempotency-in-progress", "A request with this key is under way.", Header, "Wait a moment and send it again: you will get the first one's answer.") with { RetryAfter = TimeSpan.FromSeconds(1) };
}

/// <summary>The call this request carries out.</summary>
internal sealed class CallUnderWay(string tenant, IdempotentCall call)
{
    public string Tenant { get; } = tenant;

    public IdempotentCall Call { get; set; } = call;
}

/// <summary>Marks the call in the transaction of its first write, so that a crash after the commit can never have it done twice. A write into another tenant
/// than the caller's (the platform's administrators do that) cannot carry the mark; there the claim alone protects.</summary>
internal sealed class MarkIdempotentCall(CurrentRequest current) : DocumentSessionListenerBase
{
    public override Task BeforeSaveChangesAsync(IDocumentSession session, CancellationToken token)
    {
        if (current.Context?.Features.Get<CallUnderWay>() is { Call.Saved: false } carrying && session.TenantId == carrying.Tenant)
        {
            var revision = carrying.Call.Version + 1;
            carrying.Call = carrying.Call with { Saved = true, Version = revision };
            session.UpdateRevision(carrying.Call, revision);
        }

        return Task.CompletedTask;
    }
}
