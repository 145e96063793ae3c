using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Platform.Kernel.Http;
using Platform.Registry.Mlflow;

namespace Platform.Registry.Webhooks;

/// <param name="Status">What the receiver answered; null when it did not.</param>
/// <param name="Body">The beginning of what it said.</param>
/// <param name="Error">What kept it from answering well; null when it did.</param>
internal sealed record SendOutcome(int? Status, string? Body, string? Error)
{
    public bool IsOk => Error is null;

    /// <summary>When the receiver asked to be left alone for a while.</summary>
    public TimeSpan? RetryAfter { get; init; }
}

/// <summary>Posts one payload to one webhook, signed as MLflow signs: with the secret, over the delivery's id, the time and the payload.</summary>
internal sealed class WebhookSender(PublicAddresses addresses, WebhookSecrets secrets, TimeProvider time) : IDisposable
{
    private const int MostOfAnswer = 4_096;

    /// <summary>How long a receiver has for its answer.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly HttpClient client = new(addresses.Handler()) { Timeout = Timeout.InfiniteTimeSpan };

    public static string Payload(string name, DateTimeOffset at, object data)
    {
        var dot = name.IndexOf('.', StringComparison.Ordinal);
        return JsonSerializer.Serialize(new { Entity = name[..dot], Action = name[(dot + 1)..], Timestamp = at.ToString("O", CultureInfo.InvariantCulture), Data = data }, Json);
    }

    public static string Signature(string secret, string delivery, string timestamp, string payload) =>
        $"v1,{Convert.ToBase64String(HMACSHA256.HashData(Encoding.UTF8.GetBytes(secret), Encoding.UTF8.GetBytes($"{delivery}.{timestamp}.{payload}")))}";

    public async Task<SendOutcome> SendAsync(string tenant, Webhook webhook, Guid delivery, string payload, CancellationToken ct)
    {
        var timestamp = time.GetUtcNow().ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
        using var request = new HttpRequestMessage(HttpMethod.Post, webhook.Url) { Content = new ByteArrayContent(Encoding.UTF8.GetBytes(payload)) { Headers = { ContentType = new("application/json") } } };
        request.Headers.Add("X-MLflow-Delivery-Id", delivery.ToString());
        request.Headers.Add("X-MLflow-Timestamp", timestamp);
        if (webhook.Secret is { } secretly) request.Headers.Add("X-MLflow-Signature", Signature(await secrets.OpenAsync(tenant, webhook.Id, secretly, ct), delivery.ToString(), timestamp, payload));
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        // The wall's own time, whatever clock the rest goes by: a receiver is slow in real seconds.
        limit.CancelAfter(Patience);
        try
        {
            using var answer = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit.Token);
            var (status, body) = ((int)answer.StatusCode, await BeginningAsync(answer, limit.Token));
            return answer.IsSuccessStatusCode ? new(status, body, null)
                : new(status, body, status is >= 300 and < 400 ? $"It answered {status}, and redirects are not followed." : $"It answered {status}.") { RetryAfter = answer.Headers.RetryAfter?.Delta };
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return new(null, null, $"There was no answer within {Patience.TotalSeconds:0} s.");
        }
        catch (Exception failure) when (failure is HttpRequestException or IOException)
        {
            return new(null, null, failure.InnerException is ForbiddenAddressException forbidden ? forbidden.Message : failure.Message);
        }
    }

    public void Dispose() => client.Dispose();

    private static readonly JsonSerializerOptions Json = new(MlflowJson.Options) { DefaultIgnoreCondition = System.Text.Json.Serialization.JsonIgnoreCondition.Never };

    private static async Task<string> BeginningAsync(HttpResponseMessage answer, CancellationToken ct)
    {
        var buffer = new byte[MostOfAnswer];
        await using var content = await answer.Content.ReadAsStreamAsync(ct);
        return Encoding.UTF8.GetString(buffer, 0, await content.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, ct)).Replace('\0', ' ');
    }
}
