using MediatR;
using Microsoft.Extensions.Hosting;
using Platform.Kernel;
using Platform.Registry.Tracking;
using Platform.Registry.Webhooks;
using Platform.Tenancy.Contracts;

namespace Platform.Registry.Retention;

/// <summary>A tenant's upkeep: purges what was deleted long enough ago, gives up uploads that nobody finished, forgets old deliveries, and collects content that nobody names.
/// Each part may be killed and done again.</summary>
internal sealed class RetentionRun(RetentionStore retention, Purge purge, Uploads uploads, IBlobCollection blobs, WebhookStore webhooks, IJobs jobs, CallerScope scope) : IJob<RetentionRun.Args>
{
    private static readonly TimeSpan DeliveriesAreKept = TimeSpan.FromDays(30), UploadsAreKept = TimeSpan.FromDays(2);

    /// <param name="Id">Of the report, so that the job run again goes on with the one it began.</param>
    /// <param name="AskedBy">Who asked for it: then all that is deleted is purged, however long ago that was.</param>
    internal sealed record Args(Guid Id, string? AskedBy = null);

    public async Task RunAsync(Args args, CancellationToken ct)
    {
        var tenant = scope.Current.Tenant;
        var report = new RetentionReport(args.Id, args.AskedBy, retention.Now, null, null, 0, 0, 0, 0, 0, 0, 0);
        await retention.ReportAsync(tenant, report, ct);
        try
        {
            var rules = await retention.RulesAsync(tenant, ct);
            if (args.AskedBy is not null || rules.PurgeAfterDays is not null)
            {
                var purged = await purge.RunAsync(tenant, args.AskedBy is not null ? retention.Now : retention.Now.AddDays(-rules.PurgeAfterDays!.Value), ct);
                report = report with { Experiments = purged.Experiments, Runs = purged.Runs, LoggedModels = purged.LoggedModels, Artifacts = purged.Artifacts };
            }

            var grace = TimeSpan.FromHours(rules.GraceHours);
            report = report with { Artifacts = report.Artifacts + await purge.OrphansAsync(tenant, retention.Now - grace, ct) };
            await uploads.GiveUpAsync(tenant, retention.Now - UploadsAreKept, ct);
            await webhooks.ForgetAsync(tenant, retention.Now - DeliveriesAreKept, ct);
            foreach (var webhook in await webhooks.WithPendingAsync(tenant, ct)) jobs.Enqueue<DeliverWebhook, DeliverWebhook.Args>(tenant, new(webhook));
            var collected = await blobs.CollectAsync(tenant, grace, ct);
            await retention.ReportAsync(tenant, report with { EndedAt = retention.Now, Blobs = collected.Deleted, BytesFreed = collected.BytesFreed, BlobsWaiting = collected.Marked }, ct);
        }
        catch (Exception failure) when (!ct.IsCancellationRequested)
        {
            await retention.ReportAsync(tenant, report with { Failure = $"{failure.GetType().Name}; it is tried again, and the host's log says more." }, CancellationToken.None);
            throw;
        }
    }
}

/// <summary>Every tenant's upkeep, each a job of its own.</summary>
internal sealed class RetentionOfAll(IMediator mediator, IJobs jobs) : IJob<RetentionOfAll.Args>
{
    internal sealed record Args;

    public async Task RunAsync(Args args, CancellationToken ct)
    {
        foreach (var tenant in await mediator.Send(new ListAllTenants(), ct)) jobs.Enqueue<RetentionRun, RetentionRun.Args>(tenant.Id, new(Guid.CreateVersion7()));
    }
}

/// <summary>Says once, at the start, that upkeep is due every night.</summary>
internal sealed class RetentionSchedule(IJobs jobs) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
    {
        jobs.Daily<RetentionOfAll, RetentionOfAll.Args>("registry-retention", Caller.PlatformTenant, new());
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
