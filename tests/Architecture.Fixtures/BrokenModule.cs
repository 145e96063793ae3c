using Marten;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using Platform.Kernel;
using Platform.Tenancy;

namespace Platform.Broken;

public sealed class BrokenModule : IModule
{
    public string Name => "broken";

    // Law 1: another module itself, and not its contracts.
    public static Type Neighbour => typeof(TenancyModule);

    public void AddServices(IServiceCollection services, IConfiguration configuration)
    {
    }

    public void ConfigureStore(StoreOptions store)
    {
        // Law 4: another module's prefix, and an event that is neither sealed nor a record.
        store.Events.MapEventType<ThingHappened>("tenancy.thing-happened");
    }

    public void MapApi(IEndpointRouteBuilder api, IEndpointRouteBuilder root) =>
        // Law 3: no name, no permission, no tag.
        api.MapGet("things", () => "all of them");
}

// Law 2: public, and neither the module, nor a page, nor a contract.
public class ThingHappened;

internal sealed record Thing(string Id, DateTimeOffset At)
{
    // Law 6: the wall clock in a projection.
    public static Thing Create(ThingHappened _) => new("thing", DateTimeOffset.UtcNow);
}

internal static class RawSql
{
    // Law 6: SQL outside the named places.
    public static NpgsqlCommand Command => new("select 1");
}

internal static class PutsBlobs
{
    // Law 8: a blob that nobody names.
    public static Task<Result<BlobRef>> PutAsync(IBlobStore blobs) => blobs.PutAsync("tenant", Stream.Null, 1, CancellationToken.None);
}
