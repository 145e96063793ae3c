using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Inference.Predict;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Inference.Endpoints;

/// <summary>Sets an endpoint anew: another model, alias, feature view or journal mode. Requests under way end by the old plan, none fails.</summary>
internal static class UpdateEndpoint
{
    [Needs(Permissions.Write)]
    internal sealed record Command(string Name, EndpointSettings Settings) : IRequest<Result<EndpointView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules() => RuleFor(command => command.Settings).SetValidator(new EndpointSettings.Rules());
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPut("endpoints/{endpoint}", Put).WithName(nameof(UpdateEndpoint)).Needs(Permissions.Write).WithSummary("Change an endpoint")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Ok<EndpointView>, ProblemHttpResult>> Put(string endpoint, EndpointSettings body, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(endpoint, body), ct).ToOk();

    /// <summary>Null when nothing would change.</summary>
    internal static EndpointUpdated? Decide(Endpoint endpoint, EndpointSettings settings)
    {
        var updated = new EndpointUpdated(settings.Model, settings.Alias, settings.FeatureView, settings.JournalMode, settings.Mode, settings.CacheSeconds);
        return updated == new EndpointUpdated(endpoint.Model, endpoint.AliasOrVersion, endpoint.FeatureView, endpoint.Journal, endpoint.Mode, endpoint.CacheSeconds) ? null : updated;
    }

    internal sealed class Handler(IDocumentSession session, SettingsCheck check, PlanCompiler compiler, ServingTable table, CallerScope scope) : IRequestHandler<Command, Result<EndpointView>>
    {
        public async Task<Result<EndpointView>> Handle(Command command, CancellationToken ct)
        {
            var tenant = scope.Current.Tenant;
            var stream = await session.Events.FetchForWriting<Endpoint>(Endpoint.Stream(command.Name), ct);
            if (stream.Aggregate is not { Retired: false } endpoint) return Refusal.NotFound("endpoint", command.Name);
            if (Decide(endpoint, command.Settings) is { } updated)
            {
                if (await check.FindFaultAsync(command.Settings, ct) is { } fault) return fault;
                stream.AppendOne(updated);
                session.Raise(new Signal(InferenceSignals.Endpoint, tenant, command.Name));
                await session.SaveChangesAsync(ct);
                await compiler.CompileAsync(tenant, command.Name, load: true, ct);
            }
            return EndpointView.Of(tenant, (await session.LoadAsync<Endpoint>(Endpoint.Stream(command.Name), ct))!, table);
        }
    }
}
