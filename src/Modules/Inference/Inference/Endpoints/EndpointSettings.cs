using FluentValidation;
using MediatR;
using Platform.Features.Contracts;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;
using Platform.Registry.Contracts;

namespace Platform.Inference.Endpoints;

/// <summary>What an endpoint can be set to, on deployment and on every update.</summary>
/// <param name="Alias">An alias of the model to follow, such as champion, or a version number to stay on.</param>
/// <param name="FeatureView">A materialised feature view whose features are added to requests that name an entity.</param>
/// <param name="JournalMode">durable: an answer leaves after its journal row is on disk. buffered: at once.</param>
/// <param name="Mode">auto: requests that wait for a core are run together where the model gains from it. throughput: wherever that is safe. latency: never.</param>
/// <param name="CacheSeconds">For how long the same question may be answered from memory, without a run; 0 is not at all. It is written down and billed all the same.</param>
internal sealed record EndpointSettings(
    string Model, string Alias = "champion", string? FeatureView = null, JournalMode JournalMode = JournalMode.Durable, ServingMode Mode = ServingMode.Auto,
    int CacheSeconds = 0)
{
    internal sealed class Rules : AbstractValidator<EndpointSettings>
    {
        public Rules()
        {
            // Models that were registered through MLflow have names of their own kind.
            RuleFor(settings => settings.Model).NotEmpty().MaximumLength(256).Must(model => model is null || !model.Any(char.IsControl)).WithMessage("A model's name has no control characters.");
            RuleFor(settings => settings.Alias).NotEmpty().MaximumLength(Names.MaxLength);
            RuleFor(settings => settings.FeatureView!).IsName().When(settings => settings.FeatureView is not null);
            RuleFor(settings => settings.JournalMode).IsInEnum();
            RuleFor(settings => settings.Mode).IsInEnum();
            RuleFor(settings => settings.CacheSeconds).InclusiveBetween(0, 86_400);
        }
    }
}

/// <summary>Holds settings against the models and feature views there are, and loads the model: what is accepted here will serve.</summary>
internal sealed class SettingsCheck(IMediator mediator, PlanCompiler compiler, CallerScope scope)
{
    public async Task<Refusal?> FindFaultAsync(EndpointSettings settings, CancellationToken ct)
    {
        var resolved = (await mediator.Send(new ResolveVersions([new VersionRef(settings.Model, settings.Alias)]), ct))[0];
        if (!resolved.ModelExists) return Refusal.Invalid("no-such-model", $"There is no model '{settings.Model}' here.", "model", "Register and train or upload it first.");
        if (resolved.WhyNotServed is { } why) return Refusal.Invalid("version-not-servable", $"The version of '{settings.Model}' under '{settings.Alias}' cannot be served: {why}", "alias", "Name a version that can be served, such as one logged with an ONNX file.");
        if (resolved.Version is not { } version)
            return Refusal.Invalid("no-such-version", $"The model '{settings.Model}' has no version under '{settings.Alias}'.", "alias", "Point the alias at a version first, or name a version number.");
        if (settings.FeatureView is not null && await FeatureFaultAsync(settings.FeatureView, version, ct) is { } fault) return fault;
        return await compiler.TryLoadAsync(scope.Current.Tenant, version, ct) is { } unloadable
            ? Refusal.Conflict(unloadable.Code, unloadable.Detail, "alias", unloadable.Mend)
            : null;
    }

    private async Task<Refusal?> FeatureFaultAsync(string name, ServableVersion version, CancellationToken ct)
    {
        if (await mediator.Send(new DescribeFeatureViews([name]), ct) is not [var view])
            return Refusal.Invalid("no-such-feature-view", $"There is no feature view '{name}' here.", "featureView", "Define it first, or leave it out.");
        if (!view.Materialised) return Refusal.Invalid("feature-view-empty", $"The feature view '{name}' has not been materialised.", "featureView", "Materialise it first.");
        return view.Features.Any(feature => version.Columns.Any(column => column.Name == feature.Name)) ? null
            : Refusal.Invalid("feature-view-unrelated", $"The feature view '{name}' has none of the columns of '{version.Model}'.", "featureView", "Name a view that has some, or leave it out.");
    }
}
