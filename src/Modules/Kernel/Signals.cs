using Marten;

namespace Platform.Kernel;

/// <summary>A change that every replica must hear at once (a plan to recompile, a key revoked). <paramref name="Topic"/> is
/// <c>{module}.{what}</c>; <paramref name="Id"/> names the thing. It carries no state: hearers re-read.</summary>
public sealed record Signal(string Topic, string Tenant, string Id);

/// <summary>PostgreSQL LISTEN/NOTIFY under one name: raised inside the transaction, heard after it commits, on every replica, this one too.
/// A lost connection re-listens and then tells every hearer to re-read everything (<see cref="Signal.Topic"/> = <c>*</c>).</summary>
public interface ISignals
{
    /// <summary>Calls <paramref name="hear"/> for each signal whose topic starts with <paramref name="topicPrefix"/>, and for <c>*</c>.
    /// It runs on the listener's loop: be quick, never throw.</summary>
    IDisposable Subscribe(string topicPrefix, Action<Signal> hear);
}

/// <summary>Raising a signal together with the changes it tells of.</summary>
public static class SignalExtensions
{
    public const string Channel = "platform_signals";

    /// <summary>A procedure and not <c>select pg_notify</c>, because a result set in the middle of a session's batch would be taken for another command's.</summary>
    public const string Sql =
        $"""
        create or replace procedure platform.raise_signal(payload text) language plpgsql as $do$ begin perform pg_notify('{Channel}', payload); end $do$;
        grant execute on procedure platform.raise_signal to platform_app;
        """;

    /// <summary>Queues the signal into the session's transaction: it is heard only if the changes are saved.</summary>
    public static void Raise(this IDocumentOperations session, Signal signal) =>
        session.QueueSqlCommand("call platform.raise_signal(?)", $"{signal.Topic}\n{signal.Tenant}\n{signal.Id}");
}
