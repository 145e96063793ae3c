using JasperFx.Events;
using MediatR;
using Microsoft.AspNetCore.Identity;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Platform.Kernel;
using Platform.Kernel.Pages;
using Platform.Kernel.Store;
using Platform.Tenancy.ApiKeys;
using Platform.Tenancy.Contracts;
using Platform.Tenancy.Credentials;
using Platform.Tenancy.Encryption;
using Platform.Tenancy.People;
using Platform.Tenancy.Tenants;
using StoreOptions = Marten.StoreOptions;

namespace Platform.Tenancy;

/// <summary>Tenants, their API keys and people, and the keys that encrypt their data.</summary>
public sealed class TenancyModule : IModule
{
    public string Name => "tenancy";

    public void AddServices(IServiceCollection services, IConfiguration configuration)
    {
        services.AddSingleton<KeyCache>();
        services.AddSingleton<ICredentials>(sp => sp.GetRequiredService<KeyCache>());
        services.AddSingleton<IPrincipals, Principals>();
        services.AddSingleton<TenantKeys>();
        services.AddSingleton<ITenantKeys>(sp => sp.GetRequiredService<TenantKeys>());
        services.AddSingleton<IPasswordHasher<Person>, PasswordHasher<Person>>();
        services.AddSingleton<Accounts>();
        services.AddSingleton<IPeople>(sp => sp.GetRequiredService<Accounts>());
    }

    public void ConfigureStore(StoreOptions store)
    {
        store
            .Event<TenantCreated>("tenancy.tenant-created")
            .Event<TenantSuspended>("tenancy.tenant-suspended")
            .Event<TenantResumed>("tenancy.tenant-resumed")
            .Event<ApiKeyIssued>("tenancy.key-issued")
            .Event<ApiKeyRevoked>("tenancy.key-revoked")
            .Event<MemberAdded>("tenancy.member-added")
            .Event<MemberRemoved>("tenancy.member-removed")
            .State<Tenant>(Name)
            .State<ApiKey>(Name)
            .State<Members>(Name)
            .Document<TenantKey>(Name)
            .Document<Person>(Name);
        store.Schema.For<Person>().UniqueIndex(Marten.Schema.UniqueIndexType.Computed, p => p.Email);
    }

    public void MapApi(IEndpointRouteBuilder api, IEndpointRouteBuilder root)
    {
        CreateTenant.Map(api);
        ListTenants.Map(api);
        GetTenant.Map(api);
        SuspendTenant.Map(api);
        ResumeTenant.Map(api);
        IssueKey.Map(api);
        ListKeys.Map(api);
        RevokeKey.Map(api);
        AddPerson.Map(api);
        ListPeople.Map(api);
        RemovePerson.Map(api);
        SignIn.Map(root);
        SignInWithProvider.Map(root);
    }

    public IEnumerable<INotification> Publish(IEvent committed) => committed.Data switch
    {
        TenantSuspended => [new TenantSuspensionChanged(Tenant.Slug(committed.StreamKey!), Suspended: true)],
        TenantResumed => [new TenantSuspensionChanged(Tenant.Slug(committed.StreamKey!), Suspended: false)],
        _ => [],
    };
}
