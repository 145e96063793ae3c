using JasperFx.Events.Projections;
using Marten;

namespace Platform.Kernel.Store;

/// <summary>How a module declares its part of the one store.</summary>
public static class StoreExtensions
{
    /// <summary>Gives an event its name in storage, <c>{module}.{what-happened}</c>. The name is the contract, so the class may move.</summary>
    public static StoreOptions Event<TEvent>(this StoreOptions store, string name) where TEvent : class
    {
        store.Events.MapEventType<TEvent>(name);
        return store;
    }

    /// <summary>A stream's state, kept current in the same transaction as its events, in the module's own schema.</summary>
    public static StoreOptions State<TState>(this StoreOptions store, string module) where TState : class
    {
        store.Projections.Snapshot<TState>(SnapshotLifecycle.Inline);
        store.Schema.For<TState>().DatabaseSchemaName(module);
        return store;
    }

    /// <summary>A plain document in the module's own schema, for what must be erasable (people) or is not worth a history.</summary>
    public static StoreOptions Document<TDocument>(this StoreOptions store, string module) where TDocument : class
    {
        store.Schema.For<TDocument>().DatabaseSchemaName(module);
        return store;
    }
}
