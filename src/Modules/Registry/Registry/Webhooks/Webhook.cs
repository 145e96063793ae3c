using System.Security.Cryptography;
using System.Text;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Webhooks;

/// <param name="Secret">Sealed; null when requests are not signed.</param>
/// <param name="DisabledBecause">Why the platform has disabled it; null when it is active or somebody disabled it.</param>
/// <param name="Waiting">Deliveries that are still to be made.</param>
internal sealed record Webhook(
    Guid Id, string Name, string? Description, string Url, IReadOnlyList<string> Events, byte[]? Secret, bool Active, string? DisabledBecause, long CreatedAt, long UpdatedAt, long Waiting);

/// <summary>One thing that happened, on its way to one webhook.</summary>
/// <param name="State">PENDING, DELIVERED or FAILED, which is when it was given up.</param>
internal sealed record Delivery(
    Guid Id, Guid Webhook, long Sequence, string Event, string Payload, long OccurredAt, string State, int Attempts, long DueAt, long? LastAttemptAt, int? LastStatus, string? LastError);

/// <summary>What is to be set; null leaves a value as it is.</summary>
/// <param name="Secret">Empty takes it away.</param>
internal sealed record WebhookChange(string? Name, string? Description, string? Url, IReadOnlyList<string>? Events, string? Secret, bool? Active);

/// <summary>Which events there are, and an example of what each carries. Names and fields are MLflow's.</summary>
internal static class WebhookEvents
{
    public const string ModelCreated = "registered_model.created", VersionCreated = "model_version.created", VersionTagSet = "model_version_tag.set",
        VersionTagDeleted = "model_version_tag.deleted", AliasCreated = "model_version_alias.created", AliasDeleted = "model_version_alias.deleted";

    public static readonly IReadOnlyDictionary<string, object> Examples = new Dictionary<string, object>
    {
        [ModelCreated] = new ModelCreatedData("example_model", new Dictionary<string, string> { ["example_key"] = "example_value" }, "An example registered model"),
        [VersionCreated] = new VersionCreatedData("example_model", "1", "models:/123", "abcd1234abcd5678", new Dictionary<string, string> { ["example_key"] = "example_value" }, "An example model version"),
        [VersionTagSet] = new VersionTagSetData("example_model", "1", "example_key", "example_value"),
        [VersionTagDeleted] = new VersionTagDeletedData("example_model", "1", "example_key"),
        [AliasCreated] = new AliasCreatedData("example_model", "example_alias", "1"),
        [AliasDeleted] = new AliasDeletedData("example_model", "example_alias"),
    };

    internal sealed record ModelCreatedData(string Name, IReadOnlyDictionary<string, string> Tags, string? Description);

    internal sealed record VersionCreatedData(string Name, string Version, string Source, string? RunId, IReadOnlyDictionary<string, string> Tags, string? Description);

    internal sealed record VersionTagSetData(string Name, string Version, string Key, string Value);

    internal sealed record VersionTagDeletedData(string Name, string Version, string Key);

    internal sealed record AliasCreatedData(string Name, string Alias, string Version);

    internal sealed record AliasDeletedData(string Name, string Alias);
}

/// <summary>What a webhook may be.</summary>
/// <param name="addresses">Whom it may call; PLATFORM_WEBHOOK_HOSTS names hosts, addresses and networks beside the public ones, and those may be called without TLS.</param>
internal sealed class WebhookRules(PublicAddresses addresses)
{
    public const int MostOfTenant = 100;
    private const int LongestUrl = 2_000, LongestSecret = 500, LongestDescription = 1_000;

    public Refusal? Judge(WebhookChange change) =>
        change.Name is { } name && !IsName(name) ? Bad("name", $"'{name}' cannot be a webhook's name.", "Use 1 to 63 letters, digits, dots, underscores and hyphens, beginning and ending with a letter or a digit.")
        : change.Description?.Length > LongestDescription ? Bad("description", "The description is too long.", $"Use at most {LongestDescription} characters.")
        : change.Secret?.Length > LongestSecret ? Bad("secret", "The secret is too long.", $"Use at most {LongestSecret} characters.")
        : change.Events is { } events && (events.Count == 0 || events.Any(e => e is null || !WebhookEvents.Examples.ContainsKey(e)))
            ? Bad("events", events.Count == 0 ? "A webhook hears of at least one event." : $"'{events.First(e => e is null || !WebhookEvents.Examples.ContainsKey(e))}' is no event that is told of here.",
                $"Use some of {string.Join(", ", WebhookEvents.Examples.Keys)}.")
        : change.Url is { } url ? JudgeUrl(url)
        : null;

    private Refusal? JudgeUrl(string given)
    {
        const string Mend = "Use a public address that begins with https:, or ask the platform's operator to name the host (PLATFORM_WEBHOOK_HOSTS).";
        if (given.Length > LongestUrl || given.Any(char.IsControl) || !Uri.TryCreate(given, UriKind.Absolute, out var url) || url.Host.Length == 0) return Bad("url", "The URL is no address.", "Use one such as https://example.com/hook.");
        if (url.UserInfo.Length > 0 || url.Fragment.Length > 0) return Bad("url", "The URL holds a user or a fragment.", "Leave it out; requests are signed with the secret.");
        var named = addresses.IsNamed(url.Host);
        if (url.Scheme != Uri.UriSchemeHttps && !(named && url.Scheme == Uri.UriSchemeHttp)) return Bad("url", $"The URL begins with {url.Scheme}:, and what is told may not be read on the way.", Mend);
        return !named && (url.IsLoopback || (System.Net.IPAddress.TryParse(url.Host.Trim('[', ']'), out var literal) && !PublicAddresses.IsPublic(literal))) ? Bad("url", $"'{url.Host}' is no public address.", Mend) : null;
    }

    private static bool IsName(string name) =>
        name.Length is > 0 and <= 63 && char.IsAsciiLetterOrDigit(name[0]) && char.IsAsciiLetterOrDigit(name[^1]) && name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '_' or '-');

    private static Refusal Bad(string field, string detail, string mend) => Refusal.Invalid("invalid-webhook", detail, field, mend);
}

/// <summary>Keeps secrets sealed with the tenant's data key; the webhook's id is sealed in, so that one cannot be put in another's place.</summary>
internal sealed class WebhookSecrets(ITenantKeys keys)
{
    public async Task<byte[]> SealAsync(string tenant, Guid webhook, string secret, CancellationToken ct)
    {
        var plain = Encoding.UTF8.GetBytes(secret);
        var secretly = new byte[12 + plain.Length + 16];
        RandomNumberGenerator.Fill(secretly.AsSpan(0, 12));
        using var aes = new AesGcm(await keys.DataKeyAsync(tenant, ct), 16);
        aes.Encrypt(secretly.AsSpan(0, 12), plain, secretly.AsSpan(12, plain.Length), secretly.AsSpan(12 + plain.Length), webhook.ToByteArray());
        return secretly;
    }

    public async Task<string> OpenAsync(string tenant, Guid webhook, byte[] secretly, CancellationToken ct)
    {
        var plain = new byte[secretly.Length - 28];
        using var aes = new AesGcm(await keys.DataKeyAsync(tenant, ct), 16);
        aes.Decrypt(secretly.AsSpan(0, 12), secretly.AsSpan(12, plain.Length), secretly.AsSpan(12 + plain.Length), plain, webhook.ToByteArray());
        return Encoding.UTF8.GetString(plain);
    }
}
