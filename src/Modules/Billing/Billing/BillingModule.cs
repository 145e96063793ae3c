using Marten;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Platform.Kernel;

namespace Platform.Billing;

/// <summary>See this module's README.</summary>
public sealed class BillingModule : IModule
{
    public string Name => "billing";

    public void AddServices(IServiceCollection services, IConfiguration configuration)
    {
    }

    public void ConfigureStore(StoreOptions store)
    {
    }

    public void MapApi(IEndpointRouteBuilder api, IEndpointRouteBuilder root)
    {
    }
}
