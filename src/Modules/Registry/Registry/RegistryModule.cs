using JasperFx.Events;
using JasperFx.Events.Projections;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Kernel.Store;
using Platform.Registry.Contracts;
using Platform.Registry.Experiments;
using Platform.Registry.Intake;
using Platform.Registry.Lineage;
using Platform.Registry.Mlflow;
using Platform.Registry.Models;
using Platform.Registry.Onnx;
using Platform.Registry.Retention;
using Platform.Registry.RunComparison;
using Platform.Registry.Runs;
using Platform.Registry.Sharing;
using Platform.Registry.Signing;
using Platform.Registry.Tracking;
using Platform.Registry.Training;
using Platform.Registry.TrainingJobs;
using Platform.Registry.Webhooks;

namespace Platform.Registry;

/// <summary>Models, their versions and aliases, and the training that makes versions out of datasets.</summary>
public sealed class RegistryModule : IModule
{
    public string Name => "registry";

    public void AddServices(IServiceCollection services, IConfiguration configuration)
    {
        services.AddSingleton(RegistryLimits.From(configuration));
        services.AddSingleton<TrackingDatabase>().AddSingleton<ExperimentStore>().AddSingleton<RunStore>().AddSingleton<RunSearch>().AddSingleton<RunFigures>().AddSingleton<RunLinks>().AddSingleton<LoggedModelStore>().AddSingleton<Artifacts>().AddSingleton<Uploads>();
        services.AddSingleton<ModelSearch>();
        services.AddSingleton<LoggedTraining>();
        services.AddScoped<LineageReads>();
        services.AddScoped<VersionFromArtifacts>();
        services.AddSingleton<IntakeTurns>().AddSingleton<OnnxInspections>().AddSingleton<ExampleTrials>();
        services.AddScoped<ModelIntake>();
        services.AddSingleton<Publications>();
        services.AddSingleton(new PublicAddresses(configuration["PLATFORM_WEBHOOK_HOSTS"]?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) ?? []));
        services.AddSingleton<RetentionStore>().AddSingleton<Purge>().AddSingleton<IBlobNames, RegistryBlobNames>().AddHostedService<RetentionSchedule>();
        services.AddSingleton<WebhookRules>().AddSingleton<WebhookSecrets>().AddSingleton<WebhookStore>().AddSingleton<WebhookSender>();
        services.AddSingleton<IChildWork, InspectWork>();
        services.AddSingleton<IChildWork, TrainWork>();
        // Turns of their own, or three tenants that fit models would keep everybody's uploads waiting.
        services.AddSingleton<IChildWork, CustomiseWork>().AddKeyedSingleton<IntakeTurns>(CustomiseWork.WorkName);
    }

    public void ConfigureStore(StoreOptions store)
    {
        store
            .Event<ModelRegistered>("registry.model-registered")
            .Event<VersionAdded>("registry.version-added")
            .Event<ModelAliasMoved>("registry.alias-moved")
            .Event<ModelAliasRemoved>("registry.alias-removed")
            .Event<ModelTagsChanged>("registry.tags-changed")
            .Event<ModelDescribed>("registry.model-described")
            .Event<ModelDeleted>("registry.model-deleted")
            .Event<VersionDescribed>("registry.version-described")
            .Event<VersionTagsChanged>("registry.version-tags-changed")
            .Event<VersionStageChanged>("registry.version-stage-changed")
            .Event<VersionDeleted>("registry.version-deleted")
            .Event<TrainingRequested>("registry.training-requested")
            .Event<TrainingBegun>("registry.training-begun")
            .Event<TrainingSucceeded>("registry.training-succeeded")
            .Event<TrainingFailed>("registry.training-failed")
            .Event<TrainingCancelled>("registry.training-cancelled")
            .Event<VersionShared>("registry.version-shared")
            .Event<VersionUnshared>("registry.version-unshared")
            .Event<SigningKeyAdded>("registry.signing-key-added")
            .Event<SigningKeyRetired>("registry.signing-key-retired")
            .Event<SignatureRequirementSet>("registry.signature-requirement-set")
            .State<RegisteredModel>(Name)
            .State<SigningPolicy>(Name)
            .State<TrainingJob>(Name)
            .Document<ModelVersion>(Name)
            .Document<TrainingProgress>(Name)
            .Document<SavedRunView>(Name);
        store.Projections.Add(new ModelVersions(), ProjectionLifecycle.Inline);
    }

    public void MapApi(IEndpointRouteBuilder api, IEndpointRouteBuilder root)
    {
        RegisterModel.Map(api);
        ListModels.Map(api);
        GetModel.Map(api);
        UpdateModel.Map(api);
        DeleteModel.Map(api);
        UploadVersion.Map(api);
        AddRemoteVersion.Map(api);
        AddCompositeVersion.Map(api);
        GetVersion.Map(api);
        UpdateVersion.Map(api);
        DeleteVersion.Map(api);
        GetExample.Map(api);
        ShareVersion.Map(api);
        UnshareVersion.Map(api);
        GetSharing.Map(api);
        ListSharedModels.Map(api);
        DeriveVersion.Map(api);
        AddSigningKey.Map(api);
        RetireSigningKey.Map(api);
        GetSigningPolicy.Map(api);
        SetSignatureRequirement.Map(api);
        DownloadArtifact.Map(api);
        DownloadTrainingLog.Map(api);
        GetAlias.Map(api);
        SetAlias.Map(api);
        RemoveAlias.Map(api);
        SetTags.Map(api);
        StartTraining.Map(api);
        ListTrainingJobs.Map(api);
        GetTrainingJob.Map(api);
        CancelTrainingJob.Map(api);
        GetAliasHistory.Map(api);
        GetStages.Map(api);
        GetStageHistory.Map(api);
        ListExperiments.Map(api);
        CreateExperiment.Map(api);
        GetExperiment.Map(api);
        UpdateExperiment.Map(api);
        DeleteExperiment.Map(api);
        RestoreExperiment.Map(api);
        CreateRun.Map(api);
        ListRunViews.Map(api);
        SaveRunView.Map(api);
        DeleteRunView.Map(api);
        SearchRuns.Map(api);
        CompareRuns.Map(api);
        GetRun.Map(api);
        UpdateRun.Map(api);
        LogToRun.Map(api);
        LogDatasets.Map(api);
        DeleteRun.Map(api);
        RestoreRun.Map(api);
        WriteRunArtifact.Map(api);
        DeleteRunArtifact.Map(api);
        GetLineage.Map(api);
        CompareSignatures.Map(api);
        ListRunMetrics.Map(api);
        GetMetricHistory.Map(api);
        ListRunArtifacts.Map(api);
        ReadRunArtifact.Map(api);
        ListRunVersions.Map(api);
        CreateWebhook.Map(api);
        ListWebhooks.Map(api);
        GetWebhook.Map(api);
        UpdateWebhook.Map(api);
        DeleteWebhook.Map(api);
        TestWebhook.Map(api);
        ListDeliveries.Map(api);
        ReplayDeliveries.Map(api);
        GetRetention.Map(api);
        SetRetention.Map(api);
        PurgeNow.Map(api);
        SetHold.Map(api);
        LiftHold.Map(api);
        MlflowRoutes.Map(root);
    }

    public string Sql => string.Join('\n', TrackingSchema.Sql, ModelSearchSchema.Sql, Publications.Schema, WebhookSchema.Sql, RetentionSchema.Sql);

    public IEnumerable<INotification> Publish(IEvent committed)
    {
        if (committed.Data is ModelAliasMoved moved) yield return new AliasMoved(committed.TenantId, ModelOf(committed), moved.Alias, moved.Version);
        if (committed.Data is ModelAliasRemoved removed) yield return new AliasMoved(committed.TenantId, ModelOf(committed), removed.Alias, null);
        if (QueueDeliveries.Concerns(committed)) yield return new RegistryEventCommitted(committed);
    }

    private static string ModelOf(IEvent committed) => committed.StreamKey!["model:".Length..];
}
