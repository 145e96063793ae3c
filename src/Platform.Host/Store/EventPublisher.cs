using JasperFx.Events.Daemon;
using JasperFx.Events.Projections;
using Marten;
using Marten.Subscriptions;
using MediatR;
using Platform.Kernel;

namespace Platform.Host.Store;

/// <summary>The event store as outbox: turns a module's committed events into its contract notifications, at least once and in order,
/// each handled in a scope of the event's tenant. Progress is saved after a page of events, so a crash repeats some: handlers are idempotent.</summary>
internal sealed class EventPublisher : SubscriptionBase
{
    private readonly IModule module;
    private readonly IServiceScopeFactory scopes;

    public EventPublisher(IModule module, IServiceScopeFactory scopes)
    {
        (this.module, this.scopes) = (module, scopes);
        Name = $"publish-{module.Name}";
    }

    public override async Task<IChangeListener> ProcessEventsAsync(EventRange page, ISubscriptionController controller, IDocumentOperations operations, CancellationToken cancellationToken)
    {
        foreach (var @event in page.Events)
        {
            if (!@event.EventTypeName.StartsWith(module.Name + ".", StringComparison.Ordinal)) continue;
            foreach (var notification in module.Publish(@event))
            {
                await using var scope = scopes.CreateAsyncScope();
                scope.ServiceProvider.GetRequiredService<CallerScope>().Begin(Caller.System(@event.TenantId));
                await scope.ServiceProvider.GetRequiredService<IMediator>().Publish(notification, cancellationToken);
            }
        }

        return NullChangeListener.Instance;
    }
}
