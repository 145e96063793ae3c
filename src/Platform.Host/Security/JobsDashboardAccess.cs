using Hangfire.Dashboard;
using Platform.Kernel;

namespace Platform.Host.Security;

/// <summary>Lets the platform's operators see the job queue; job arguments of every tenant stand there.</summary>
internal sealed class JobsDashboardAccess : IDashboardAuthorizationFilter
{
    public bool Authorize(DashboardContext context) => context.GetHttpContext().Features.Get<Caller>()?.May("platform:operate") is true;
}
