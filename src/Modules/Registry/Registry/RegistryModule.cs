using JasperFx.Events;
using JasperFx.Events.Projections;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Platform.Kernel;
using Platform.Kernel.Store;
using Platform.Registry.Contracts;
using Platform.Registry.Models;
using Platform.Registry.Onnx;
using Platform.Registry.Training;
using Platform.Registry.TrainingJobs;

namespace Platform.Registry;

/// <summary>Models, their versions and aliases, and the training that makes versions out of datasets.</summary>
public sealed class RegistryModule : IModule
{
    public string Name => "registry";

    public void AddServices(IServiceCollection services, IConfiguration configuration)
    {
        services.AddSingleton(RegistryLimits.From(configuration));
        services.AddSingleton<OnnxInspections>();
        services.AddSingleton<IChildWork, InspectWork>();
        services.AddSingleton<IChildWork, TrainWork>();
    }

    public void ConfigureStore(StoreOptions store)
    {
        store
            .Event<ModelRegistered>("registry.model-registered")
            .Event<VersionAdded>("registry.version-added")
            .Event<ModelAliasMoved>("registry.alias-moved")
            .Event<ModelAliasRemoved>("registry.alias-removed")
            .Event<ModelTagsChanged>("registry.tags-changed")
            .Event<TrainingRequested>("registry.training-requested")
            .Event<TrainingBegun>("registry.training-begun")
            .Event<TrainingSucceeded>("registry.training-succeeded")
            .Event<TrainingFailed>("registry.training-failed")
            .Event<TrainingCancelled>("registry.training-cancelled")
            .State<RegisteredModel>(Name)
            .State<TrainingJob>(Name)
            .Document<ModelVersion>(Name)
            .Document<TrainingProgress>(Name);
        store.Projections.Add(new ModelVersions(), ProjectionLifecycle.Inline);
    }

    public void MapApi(IEndpointRouteBuilder api, IEndpointRouteBuilder root)
    {
        RegisterModel.Map(api);
        ListModels.Map(api);
        GetModel.Map(api);
        UploadVersion.Map(api);
        GetVersion.Map(api);
        DownloadArtifact.Map(api);
        DownloadTrainingLog.Map(api);
        SetAlias.Map(api);
        RemoveAlias.Map(api);
        SetTags.Map(api);
        StartTraining.Map(api);
        ListTrainingJobs.Map(api);
        GetTrainingJob.Map(api);
        CancelTrainingJob.Map(api);
    }

    public INotification? Publish(IEvent committed) => committed.Data switch
    {
        ModelAliasMoved moved => new AliasMoved(committed.TenantId, ModelOf(committed), moved.Alias, moved.Version),
        ModelAliasRemoved removed => new AliasMoved(committed.TenantId, ModelOf(committed), removed.Alias, null),
        _ => null,
    };

    private static string ModelOf(IEvent committed) => committed.StreamKey!["model:".Length..];
}
