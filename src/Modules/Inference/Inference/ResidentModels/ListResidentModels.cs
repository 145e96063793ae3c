using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Inference.Predict;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Inference.ResidentModels;

/// <summary>The models that the tenant's endpoints serve by, as this server holds them: in memory or not, since when unused, and what failed.</summary>
internal static class ListResidentModels
{
    [Needs(Permissions.Read)]
    internal sealed record Query : IRequest<Result<Response>>;

    /// <summary>Every tenant's, for whoever looks after the server.</summary>
    [Needs(Permissions.Operate)]
    internal sealed record QueryAll : IRequest<Result<Response>>;

    /// <param name="MemoryBudget">Bytes set aside for models of all tenants; beyond it the least recently used are unloaded.</param>
    /// <param name="ResidentBytes">Bytes that the loaded models of all tenants hold, about.</param>
    /// <param name="Waiting">Runs that wait for a core now.</param>
    /// <param name="Models">The longest unused last.</param>
    internal sealed record Response(long MemoryBudget, long ResidentBytes, int Waiting, IReadOnlyList<ResidentModelView> Models);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("resident-models", Get).WithName(nameof(ListResidentModels)).Needs(Permissions.Read).WithSummary("List the models that this server holds");

    private static Task<Results<Ok<Response>, ProblemHttpResult>> Get(IMediator mediator, CancellationToken ct) => mediator.Send(new Query(), ct).ToOk();

    internal sealed class Handler(ModelCache models, ServingTable table, RunGate gate, TimeProvider time, CallerScope scope)
        : IRequestHandler<Query, Result<Response>>, IRequestHandler<QueryAll, Result<Response>>
    {
        public Task<Result<Response>> Handle(Query query, CancellationToken ct) => Task.FromResult<Result<Response>>(Of(tenant => tenant == scope.Current.Tenant));

        public Task<Result<Response>> Handle(QueryAll query, CancellationToken ct) => Task.FromResult<Result<Response>>(Of(_ => true));

        private Response Of(Func<string, bool> of)
        {
            var plans = table.Current.Where(entry => of(entry.Key.Tenant)).Select(entry => entry.Value.Plan).OfType<ServingPlan>().ToLookup(plan => plan.Model);
            return new(models.MemoryBudget, models.ResidentBytes, gate.Waiting,
                [.. models.All.Where(model => of(model.Key.Tenant)).Select(model => ResidentModelView.Of(model, plans[model], time)).OrderByDescending(model => model.LastUsed)]);
        }
    }
}
