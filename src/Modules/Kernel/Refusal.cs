namespace Platform.Kernel;

/// <summary>The kinds of expected refusal; one table (<see cref="Problems"/>) maps each to its HTTP status.</summary>
public enum RefusalKind
{
    /// <summary>400: the input is wrong and the caller can mend it.</summary>
    Invalid,
    /// <summary>401: no credential, or one that is unknown, revoked or expired.</summary>
    Unauthenticated,
    /// <summary>403: the caller is known and may not do this.</summary>
    Forbidden,
    /// <summary>404: it does not exist, or belongs to another tenant, which must look the same.</summary>
    NotFound,
    /// <summary>409: the state does not allow it.</summary>
    Conflict,
    /// <summary>412: <c>If-Match</c> named another version than the current one.</summary>
    Stale,
    /// <summary>413: the body or the file is over its limit.</summary>
    TooLarge,
    /// <summary>415: the content is of a kind that cannot be read here.</summary>
    Unsupported,
    /// <summary>422: it was understood, and a rule that the tenant made itself says no.</summary>
    Declined,
    /// <summary>429: a limit or quota is used up; <see cref="Refusal.RetryAfter"/> says when to come back.</summary>
    LimitReached,
    /// <summary>503: not now; the same call may succeed later.</summary>
    Unavailable,
}

/// <summary>An expected "no", as a value: what was wrong, where, and what would mend it.</summary>
/// <param name="Kind">Decides the status.</param>
/// <param name="Code">Stable machine code in kebab case, such as <c>unknown-column</c>; part of the problem's <c>type</c>.</param>
/// <param name="Detail">One sentence for a person, with the offending value where it is safe to show.</param>
/// <param name="Field">The input field or column at fault, as the caller wrote it.</param>
/// <param name="Mend">What to do about it, in the imperative.</param>
public sealed record Refusal(RefusalKind Kind, string Code, string Detail, string? Field = null, string? Mend = null)
{
    /// <summary>When a limit frees again; sent as <c>Retry-After</c> in whole seconds, at least 1.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>Further findings of the same kind (one per bad field or row), shown as <c>errors</c>.</summary>
    public IReadOnlyList<FieldError> Errors { get; init; } = [];

    public static Refusal Invalid(string code, string detail, string? field = null, string? mend = null) =>
        new(RefusalKind.Invalid, code, detail, field, mend);

    public static Refusal NotFound(string what, string name) =>
        new(RefusalKind.NotFound, $"no-such-{what.Replace(' ', '-')}", $"There is no {what} '{name}' here.", null, $"List the {what}s you have, or check the spelling.");

    public static Refusal Conflict(string code, string detail, string? field = null, string? mend = null) =>
        new(RefusalKind.Conflict, code, detail, field, mend);

    public static Refusal Forbidden(string code, string detail, string? mend = null) =>
        new(RefusalKind.Forbidden, code, detail, null, mend);
}

/// <summary>One finding about one field.</summary>
public sealed record FieldError(string Field, string Detail, string? Mend = null);

/// <summary>Either a value or a <see cref="Refusal"/>. Both convert implicitly, so a handler returns whichever it has.</summary>
public readonly struct Result<T> : IRefusable<Result<T>>
{
    private readonly T? value;

    private Result(T? value, Refusal? refusal) => (this.value, Refusal) = (value, refusal);

    /// <summary>The refusal, or null when there is a value.</summary>
    public Refusal? Refusal { get; }

    public bool IsOk => Refusal is null;

    /// <summary>The value; throws when refused, so look at <see cref="Refusal"/> first.</summary>
    public T Value => Refusal is null ? value! : throw new InvalidOperationException($"Refused: {Refusal.Detail}");

    /// <summary>The value, or the type's default when refused.</summary>
    public T? ValueOrDefault => value;

    public static implicit operator Result<T>(T value) => new(value, null);

    public static implicit operator Result<T>(Refusal refusal) => new(default, refusal);

    public static Result<T> Refused(Refusal refusal) => refusal;

    /// <summary>The value, also where <typeparamref name="T"/> is an interface and the implicit conversion is not allowed.</summary>
    public static Result<T> Ok(T value) => new(value, null);
}

/// <summary>"Done", where there is nothing to return.</summary>
public readonly record struct Done
{
    public static readonly Done Value;
}
