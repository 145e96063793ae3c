using Marten;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Platform.Kernel;

namespace Platform.Governance;

/// <summary>See this module's README.</summary>
public sealed class GovernanceModule : IModule
{
    public string Name => "governance";

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
