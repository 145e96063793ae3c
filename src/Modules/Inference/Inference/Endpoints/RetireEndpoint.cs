using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Inference.Endpoints;

/// <summary>Ends an endpoint: requests under way are answered, later ones find nothing. Its predictions and its history stay.</summary>
internal static class RetireEndpoint
{
    [Needs(Permissions.Write)]
    internal sealed record Command(string Name) : IRequest<Result<Done>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapDelete("endpoints/{endpoint}", Delete).WithName(nameof(RetireEndpoint)).Needs(Permissions.Write).WithSummary("Retire an endpoint")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<NoContent, ProblemHttpResult>> Delete(string endpoint, IMediator mediator, CancellationToken ct) => mediator.Send(new Command(endpoint), ct).ToNoContent();

    internal sealed class Handler(IDocumentSession session, PlanCompiler compiler, CallerScope scope) : IRequestHandler<Command, Result<Done>>
    {
        public async Task<Result<Done>> Handle(Command command, CancellationToken ct)
        {
            var tenant = scope.Current.Tenant;
            var stream = await session.Events.FetchForWriting<Endpoint>(Endpoint.Stream(command.Name), ct);
            if (stream.Aggregate is not { Retired: false } endpoint) return Refusal.NotFound("endpoint", command.Name);
            stream.AppendOne(new EndpointRetired(endpoint.Model, endpoint.AliasOrVersion));
            session.Raise(new Signal(InferenceSignals.Endpoint, tenant, command.Name));
            await session.SaveChangesAsync(ct);
            await compiler.CompileAsync(tenant, command.Name, load: false, ct);
            return Done.Value;
        }
    }
}
