using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Contracts;
using Platform.Registry.Onnx;
using Platform.Registry.Signing;

namespace Platform.Registry.Models;

/// <summary>Adds a version that lives on another server of the Open Inference Protocol. The server is asked once what the model takes and gives; the
/// version keeps that, and where the model is, as its artifact.</summary>
internal static class AddRemoteVersion
{
    /// <param name="Url">The server's address, http or https, without the protocol's <c>/v2</c>.</param>
    /// <param name="RemoteModel">The model's name there; the model's own name when left out.</param>
    /// <param name="RemoteVersion">The version there; the server's choice when left out.</param>
    /// <param name="TimeoutMs">How long a call may take.</param>
    /// <param name="Credential">The name of a credential the operator has set up for that host.</param>
    /// <param name="PredictionOutput">The output that is the prediction, for a model with several.</param>
    internal sealed record Body(
        string Url, string? RemoteModel = null, string? RemoteVersion = null, int TimeoutMs = 10_000, string? Credential = null, string? PredictionOutput = null, string? Description = null);

    [Needs(Permissions.Write)]
    internal sealed record Command(string Model, Body Remote) : IRequest<Result<VersionView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Remote.Url).NotEmpty().MaximumLength(2000).OverridePropertyName("url");
            RuleFor(c => c.Remote.RemoteModel).MaximumLength(200).OverridePropertyName("remoteModel");
            RuleFor(c => c.Remote.RemoteVersion).MaximumLength(100).OverridePropertyName("remoteVersion");
            RuleFor(c => c.Remote.TimeoutMs).InclusiveBetween(1, 300_000).OverridePropertyName("timeoutMs");
            RuleFor(c => c.Remote.Credential).MaximumLength(100).OverridePropertyName("credential");
            RuleFor(c => c.Remote.Description).MaximumLength(2000).OverridePropertyName("description");
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("models/{model}/remote-versions", Post).WithName(nameof(AddRemoteVersion)).Needs(Permissions.Write).WithSummary("Add a version that lives on another server")
            .WithDescription("The server must speak the Open Inference Protocol over HTTP. Private addresses are refused unless the operator allows them.")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status503ServiceUnavailable);

    private static Task<Results<Created<VersionView>, ProblemHttpResult>> Post(string model, Body body, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(model, body), ct).ToCreated(version => $"/api/v1/registry/models/{model}/versions/{version.Version}");

    internal static Result<VersionAdded> Decide(RegisteredModel model, Body remote, BlobRef descriptor, RemoteModelDescription described, SigningPolicy signing, string author)
    {
        if (remote.PredictionOutput is { } output && described.Signature.Outputs.All(o => o.Name != output))
        {
            return Refusal.Invalid("unknown-output", $"The model has no output '{output}'.", "predictionOutput",
                $"Choose one of: {string.Join(", ", described.Signature.Outputs.Select(o => o.Name).Take(20))}.");
        }

        return new VersionAdded(
            model.LatestVersion + 1, VersionSource.Remote, author, remote.Description, descriptor.Sha256, descriptor.Length, described.Signature,
            OnnxInspector.TabularColumns(described.Signature), remote.PredictionOutput ?? OnnxInspector.PredictionOutput(described.Signature), Calibration: null,
            new OnnxFacts(0, OnnxInspector.Shown($"{described.Platform} at {remote.Url}"), new Dictionary<string, long>(), 0, new Dictionary<string, int>()),
            Metrics: null, Training: null, ArtifactKind.Remote,
            // Nobody can sign what another server may change.
            Intake: new(signing.Judge(model.Name, descriptor.Sha256, null).Fault is { } unsigned ? [unsigned] : [], []));
    }

    internal sealed class Handler(IDocumentSession session, IBlobStore blobs, IMediator mediator, RegistryLimits limits, CallerScope scope) : IRequestHandler<Command, Result<VersionView>>
    {
        public async Task<Result<VersionView>> Handle(Command command, CancellationToken ct)
        {
            var remote = command.Remote;
            if (await session.FindModelAsync(command.Model, ct) is null) return Refusal.NotFound("model", command.Model);
            var described = await mediator.Send(new DescribeRemoteModel(remote.Url, remote.RemoteModel ?? command.Model, remote.RemoteVersion, remote.TimeoutMs, remote.Credential), ct);
            if (described.Refusal is { } unreachable) return unreachable;
            using var content = new MemoryStream(described.Value.Descriptor);
            var stored = await blobs.PutAsync(scope.Current.Tenant, content, limits.MaxModelBytes, ct);
            if (stored.Refusal is { } notStored) return notStored;

            var stream = await session.Events.FetchForExclusiveWriting<RegisteredModel>(RegisteredModel.Key(command.Model), ct);
            if (stream.Aggregate is not { Deleted: false } model) return Refusal.NotFound("model", command.Model);
            var decided = Decide(model, remote, stored.Value, described.Value, await SigningPolicy.LoadAsync(session, ct), scope.Current.Subject);
            if (decided.Refusal is { } refusal) return refusal;
            stream.AppendOne(decided.Value);
            await session.SaveChangesAsync(ct);

            var version = await session.LoadAsync<ModelVersion>(ModelVersion.Key(command.Model, decided.Value.Version), ct);
            return VersionView.Of(version!, model);
        }
    }
}
