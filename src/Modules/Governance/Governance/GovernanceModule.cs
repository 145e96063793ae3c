using Marten;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Platform.Governance.Approvals;
using Platform.Governance.Audit;
using Platform.Governance.Policies;
using Platform.Kernel;
using Platform.Kernel.Store;

namespace Platform.Governance;

/// <summary>Whether a model version may go live, who said so, and the trail of everything that was done.</summary>
public sealed class GovernanceModule : IModule
{
    public string Name => "governance";

    public void AddServices(IServiceCollection services, IConfiguration configuration)
    {
    }

    public void ConfigureStore(StoreOptions store) => store
        .Event<ApprovalRequested>("governance.approval-requested")
        .Event<ApprovalGranted>("governance.approval-granted")
        .Event<ApprovalRejected>("governance.approval-rejected")
        .Event<ApprovalRuleSwitched>("governance.approval-rule-switched")
        .State<Approval>(Name)
        .State<Policy>(Name);

    public void MapApi(IEndpointRouteBuilder api, IEndpointRouteBuilder root)
    {
        RequestApproval.Map(api);
        GrantApproval.Map(api);
        RejectApproval.Map(api);
        ListApprovals.Map(api);
        GetApproval.Map(api);
        GetPolicy.Map(api);
        SetPolicy.Map(api);
        ListAuditTrail.Map(api);
    }
}
