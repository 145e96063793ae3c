using System.Collections.Immutable;
using Npgsql;
using Platform.Host.Store;
using Platform.Kernel;

namespace Platform.Host.Signals;

/// <summary>Listens on one connection and tells every subscriber. After a lost connection it cannot know what it missed, so everyone re-reads.</summary>
internal sealed class PostgresSignals(Database database, ILogger<PostgresSignals> log) : BackgroundService, ISignals
{
    private ImmutableList<Subscription> subscriptions = [];

    public IDisposable Subscribe(string topicPrefix, Action<Signal> hear)
    {
        var subscription = new Subscription(this, topicPrefix, hear);
        ImmutableInterlocked.Update(ref subscriptions, list => list.Add(subscription));
        return subscription;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        for (var first = true; !stoppingToken.IsCancellationRequested; first = false)
        {
            try
            {
                await using var connection = await database.App.OpenConnectionAsync(stoppingToken);
                connection.Notification += (_, e) => Tell(e.Payload);
                await using (var listen = new NpgsqlCommand($"listen {SignalExtensions.Channel}", connection)) await listen.ExecuteNonQueryAsync(stoppingToken);
                if (!first) Tell(new Signal("*", "*", "*"));
                while (true) await connection.WaitAsync(stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
            }
            catch (Exception e)
            {
                log.LogWarning("Lost the connection that hears changes ({Reason}); listening again in a second.", e.Message);
                await Task.Delay(TimeSpan.FromSeconds(1), stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private void Tell(string payload)
    {
        var parts = payload.Split('\n');
        if (parts.Length == 3) Tell(new Signal(parts[0], parts[1], parts[2]));
    }

    private void Tell(Signal signal)
    {
        foreach (var subscription in subscriptions)
        {
            if (signal.Topic != "*" && !signal.Topic.StartsWith(subscription.Prefix, StringComparison.Ordinal)) continue;
            try
            {
                subscription.Hear(signal);
            }
            catch (Exception e)
            {
                log.LogError(e, "A hearer of {Topic} failed.", signal.Topic);
            }
        }
    }

    private sealed record Subscription(PostgresSignals Owner, string Prefix, Action<Signal> Hear) : IDisposable
    {
        public void Dispose() => ImmutableInterlocked.Update(ref Owner.subscriptions, list => list.Remove(this));
    }
}
