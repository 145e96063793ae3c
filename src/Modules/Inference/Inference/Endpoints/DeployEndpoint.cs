using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Inference.Predict;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Inference.Endpoints;

/// <summary>Puts a model behind a name. By the time this answers the model is loaded, has run once, and the endpoint predicts.</summary>
internal static class DeployEndpoint
{
    /// <param name="Name">The endpoint's name in URLs.</param>
    /// <param name="Model">The registered model.</param>
    /// <param name="Alias">An alias to follow, or a version number to stay on.</param>
    /// <param name="FeatureView">A materialised feature view whose features are added to requests that name an entity.</param>
    /// <param name="JournalMode">durable: an answer leaves after its journal row is on disk. buffered: at once.</param>
    /// <param name="Mode">auto: requests that wait for a core are run together where the model gains from it. throughput: wherever that is safe. latency: never.</param>
    /// <param name="CacheSeconds">For how long the same question may be answered from memory, without a run; 0 is not at all. It is written down and billed all the same.</param>
    internal sealed record Body(
        string Name, string Model, string Alias = "champion", string? FeatureView = null, JournalMode JournalMode = JournalMode.Durable, ServingMode Mode = ServingMode.Auto,
        int CacheSeconds = 0);

    [Needs(Permissions.Write)]
    internal sealed record Command(string Name, EndpointSettings Settings) : IRequest<Result<EndpointView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(command => command.Name).IsName();
            RuleFor(command => command.Settings).SetValidator(new EndpointSettings.Rules());
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("endpoints", Post).WithName(nameof(DeployEndpoint)).Needs(Permissions.Write).WithSummary("Deploy a model behind an endpoint")
            .ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Created<EndpointView>, ProblemHttpResult>> Post(Body body, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(body.Name, new EndpointSettings(body.Model, body.Alias, body.FeatureView, body.JournalMode, body.Mode, body.CacheSeconds)), ct)
            .ToCreated(endpoint => $"/api/v1/inference/endpoints/{endpoint.Name}");

    internal static Result<EndpointDeployed> Decide(Endpoint? existing, Command command) =>
        existing is { Retired: false }
            ? Refusal.Conflict("endpoint-exists", $"There is an endpoint '{command.Name}' already.", "name", "Choose another name, or update the endpoint there is.")
            : new EndpointDeployed(command.Settings.Model, command.Settings.Alias, command.Settings.FeatureView, command.Settings.JournalMode, command.Settings.Mode, command.Settings.CacheSeconds);

    internal sealed class Handler(IDocumentSession session, SettingsCheck check, PlanCompiler compiler, ServingTable table, CallerScope scope) : IRequestHandler<Command, Result<EndpointView>>
    {
        public async Task<Result<EndpointView>> Handle(Command command, CancellationToken ct)
        {
            var tenant = scope.Current.Tenant;
            var stream = await session.Events.FetchForWriting<Endpoint>(Endpoint.Stream(command.Name), ct);
            var decided = Decide(stream.Aggregate, command);
            if (decided.Refusal is { } refusal) return refusal;
            if (await check.FindFaultAsync(command.Settings, ct) is { } fault) return fault;
            stream.AppendOne(decided.Value);
            session.Raise(new Signal(InferenceSignals.Endpoint, tenant, command.Name));
            await session.SaveChangesAsync(ct);
            await compiler.CompileAsync(tenant, command.Name, load: true, ct);
            return EndpointView.Of(tenant, (await session.LoadAsync<Endpoint>(Endpoint.Stream(command.Name), ct))!, table);
        }
    }
}
