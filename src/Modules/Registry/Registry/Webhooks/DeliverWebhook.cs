using Platform.Kernel;

namespace Platform.Registry.Webhooks;

/// <summary>Makes a webhook's deliveries, the oldest first: one that fails is tried again with growing pauses, and what follows waits, so that a receiver hears things in
/// their order. After the last try it is given up and the webhook disabled. Several of these jobs at once do not send twice.</summary>
internal sealed class DeliverWebhook(WebhookStore webhooks, WebhookSender sender, IJobs jobs, CallerScope scope, TimeProvider time) : IWaitingJob<DeliverWebhook.Args>
{
    internal sealed record Args(Guid Webhook);

    /// <summary>Between tries, some 14 hours together.</summary>
    public static readonly IReadOnlyList<TimeSpan> Pauses =
        [.. ((double[])[5, 30, 120, 600, 1_800, 3_600, 14_400, 28_800]).Select(TimeSpan.FromSeconds)];

    /// <summary>More than a try takes; a job that was killed keeps what it had no longer than this.</summary>
    private static readonly TimeSpan Hold = WebhookSender.Patience + TimeSpan.FromSeconds(20);

    /// <summary>So long in a row, then others have their turn: a receiver that takes its time takes no worker for itself.</summary>
    private static readonly TimeSpan Turn = TimeSpan.FromSeconds(10);

    public async Task RunAsync(Args args, CancellationToken ct)
    {
        var tenant = scope.Current.Tenant;
        var began = time.GetTimestamp();
        while (time.GetElapsedTime(began) < Turn)
        {
            if (await webhooks.ClaimAsync(tenant, args.Webhook, Hold, ct) is not { } delivery) break;
            if ((await webhooks.FindAsync(tenant, args.Webhook, ct)).ValueOrDefault is not { } webhook) return;
            var outcome = await sender.SendAsync(tenant, webhook, delivery.Id, delivery.Payload, ct);
            if (outcome.IsOk) await webhooks.DeliveredAsync(tenant, delivery, outcome.Status!.Value, ct);
            else await webhooks.NotDeliveredAsync(tenant, delivery, outcome.Status, outcome.Error!, Again(delivery, outcome), ct);
        }

        // The job comes before the note that there is one: killed in between, there are two of them, and not none.
        if (await webhooks.NextAsync(tenant, args.Webhook, ct) is not { } next) return;
        if (next > time.GetUtcNow()) jobs.Schedule<DeliverWebhook, Args>(tenant, args, next - time.GetUtcNow());
        else jobs.Enqueue<DeliverWebhook, Args>(tenant, args);
        await webhooks.WillWakeAsync(tenant, args.Webhook, next, ct);
    }

    private DateTimeOffset? Again(Delivery delivery, SendOutcome outcome)
    {
        if (delivery.Attempts > Pauses.Count) return null;
        var pause = Pauses[delivery.Attempts - 1];
        return time.GetUtcNow() + (outcome.RetryAfter is { } asked && asked > pause && asked <= Pauses[^1] ? asked : pause);
    }
}
