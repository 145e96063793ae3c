using Microsoft.Extensions.Hosting;
using Platform.Inference.Predict.Admission;

namespace Platform.Inference.Endpoints;

/// <summary>Keeps the leases of this server alive, gives back those it does not use, so that other servers can, and at the end gives back all.</summary>
internal sealed class QuotaKeeper(TenantCounts counts, TimeProvider time) : BackgroundService
{
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        foreach (var admission in counts.Admissions) await admission.Quota.EndAsync();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(TenantQuota.KeptEvery, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                foreach (var admission in counts.Admissions) await admission.Quota.KeepAsync();
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The end.
        }
    }
}
