using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Inference.Predict;
using Platform.Inference.Predict.Runtimes;
using Platform.Inference.ResidentModels;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Contracts;

namespace Platform.Inference.Endpoints;

/// <summary>One endpoint: what it serves, the columns or tensors it takes, and how it did in the last five minutes on this server.</summary>
internal static class GetEndpoint
{
    [Needs(Permissions.Read)]
    internal sealed record Query(string Name) : IRequest<Result<Response>>;

    /// <param name="Columns">The named columns of a predict call; empty when the model takes tensors only.</param>
    /// <param name="Waiting">Runs of all endpoints that wait for a core of this server now.</param>
    /// <param name="Model">The model as this server holds it; null when nothing is served.</param>
    /// <param name="Signature">The tensors of an infer call; null when nothing is served.</param>
    /// <param name="IntervalLevel">How often the interval is meant to hold the truth; null when the version has none.</param>
    /// <param name="Rules">What the version's owner has hold on every prediction, in order.</param>
    internal sealed record Response(EndpointView Endpoint, IReadOnlyList<ColumnSpec> Columns, ModelSignature? Signature, double? IntervalLevel, IReadOnlyList<VersionRule> Rules, FeatureEnrichment? Features, LiveView Live, int Waiting, ResidentModelView? Model) : IHasRevision
    {
        long IHasRevision.Revision => Endpoint.Revision;
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("endpoints/{endpoint}", Get).WithName(nameof(GetEndpoint)).Needs(Permissions.Read).WithSummary("Get an endpoint")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<Response>, ProblemHttpResult>> Get(string endpoint, IMediator mediator, CancellationToken ct) => mediator.Send(new Query(endpoint), ct).ToOk();

    internal sealed class Handler(IQuerySession session, ServingTable table, TenantCounts counts, RunGate gate, TimeProvider time, CallerScope scope) : IRequestHandler<Query, Result<Response>>
    {
        public async Task<Result<Response>> Handle(Query query, CancellationToken ct)
        {
            var key = new EndpointKey(scope.Current.Tenant, query.Name);
            if (await session.LoadAsync<Endpoint>(Endpoint.Stream(query.Name), ct) is not { Retired: false } endpoint) return Refusal.NotFound("endpoint", query.Name);
            var plan = table.Current.GetValueOrDefault(key)?.Plan;
            return new Response(EndpointView.Of(key.Tenant, endpoint, table), plan?.Version.Columns ?? [], plan?.Version.Signature, plan?.Version.Calibration?.Level, plan?.Version.Rules ?? [], plan?.Terms.Features, counts.Figures(key).Read(), gate.Waiting, plan is null ? null : ResidentModelView.Of(plan.Model, [plan], time));
        }
    }
}
