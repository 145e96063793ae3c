using JasperFx.Events;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Platform.Billing.Contracts;
using Platform.Billing.Invoices;
using Platform.Billing.Plans;
using Platform.Billing.Subscriptions;
using Platform.Billing.Usage;
using Platform.Kernel;
using Platform.Kernel.Store;

namespace Platform.Billing;

/// <summary>Plans and prices, what a tenant is entitled to, and what its predictions cost.</summary>
public sealed class BillingModule : IModule
{
    public string Name => "billing";

    public void AddServices(IServiceCollection services, IConfiguration configuration)
    {
        services.AddScoped<PlanBook>();
        services.AddScoped<PricedUsage>();
    }

    public void ConfigureStore(StoreOptions store) => store
        .Event<PlanPriced>("billing.plan-priced")
        .Event<PlanChosen>("billing.plan-chosen")
        .State<Plan>(Name)
        .State<Subscription>(Name);

    public void MapApi(IEndpointRouteBuilder api, IEndpointRouteBuilder root)
    {
        PricePlan.Map(api);
        ListPlans.Map(api);
        ChoosePlan.Map(api);
        GetUsage.Map(api);
        PreviewInvoice.Map(api);
    }

    public IEnumerable<INotification> Publish(IEvent committed) => committed.Data switch
    {
        PlanPriced => [new EntitlementChanged(EntitlementChanged.EveryTenant)],
        PlanChosen => [new EntitlementChanged(committed.TenantId)],
        _ => [],
    };
}
