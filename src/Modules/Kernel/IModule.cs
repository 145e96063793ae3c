using System.Reflection;
using JasperFx.Events;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Platform.Kernel;

/// <summary>What the host needs of a module. One public class per module implements it; the host lists them in Program.cs.</summary>
public interface IModule
{
    /// <summary>The module's name in URLs, event names and schemas, in lower case: <c>registry</c>.</summary>
    string Name { get; }

    /// <summary>Registers the module's services. Handlers and validators are found by the host in <see cref="Assembly"/>.</summary>
    void AddServices(IServiceCollection services, IConfiguration configuration);

    /// <summary>Declares documents (in the module's own schema), event names and inline projections on the one store.</summary>
    void ConfigureStore(StoreOptions store);

    /// <summary>Maps the module's routes. <paramref name="api"/> is <c>/api/v1/{name}</c> and carries the module's tag;
    /// <paramref name="root"/> is for dialects with a prefix of their own, such as <c>/v2</c>.</summary>
    void MapApi(IEndpointRouteBuilder api, IEndpointRouteBuilder root);

    /// <summary>Plain tables the module owns beside the store (the prediction journal, the online features).
    /// Idempotent SQL, run by the owner role when the schema changes; every tenant table gets its row-level policy here.</summary>
    string? Sql => null;

    /// <summary>Turns one committed event of this module into notifications: of its contracts, which other modules hear, and of its own, for what it does itself afterwards.
    /// The host runs it as a subscription: at least once, in order. Handlers must be idempotent.</summary>
    IEnumerable<INotification> Publish(IEvent committed) => [];

    /// <summary>Where the module's handlers, validators and pages live.</summary>
    Assembly Assembly => GetType().Assembly;
}
