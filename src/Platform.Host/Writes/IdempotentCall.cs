using JasperFx;

namespace Platform.Host.Writes;

/// <summary>One call that came with an <c>Idempotency-Key</c>: claimed when it begins, marked in the transaction of what it writes, and kept with its
/// answer for a day. A plain document of the caller's tenant.</summary>
internal sealed record IdempotentCall(string Id, string Fingerprint, DateTimeOffset StartedAt) : IRevisioned
{
    /// <summary>Whether what it writes is saved; then it must not be done again, even if its answer was lost.</summary>
    public bool Saved { get; init; }

    /// <summary>Null while it is under way, and for good when the process died before it was kept.</summary>
    public KeptAnswer? Answer { get; init; }

    /// <summary>The store's; a call that was taken over by another cannot be saved any more.</summary>
    public int Version { get; set; }
}

/// <param name="Body">Encrypted, because an answer may hold what is shown once: nonce, ciphertext, tag.</param>
internal sealed record KeptAnswer(int Status, string? ContentType, string? Location, string? ETag, byte[] Body);
