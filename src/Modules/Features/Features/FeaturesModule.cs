using Marten;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Platform.Features.Contracts;
using Platform.Features.Datasets;
using Platform.Features.Datasets.Csv;
using Platform.Features.Entities;
using Platform.Features.FeatureViews;
using Platform.Features.OnlineStore;
using Platform.Kernel;
using Platform.Kernel.Store;

namespace Platform.Features;

/// <summary>Datasets out of files, and feature views that answer by key.</summary>
public sealed class FeaturesModule : IModule
{
    public string Name => "features";

    public string Sql => OnlineTable.Sql;

    public void AddServices(IServiceCollection services, IConfiguration configuration)
    {
        services.AddSingleton(DatasetLimits.From(configuration));
        services.AddSingleton<ReadingSlots>();
        services.AddScoped<DatasetFiles>().AddSingleton<IBlobNames, DatasetBlobNames>();
        services.AddSingleton<OnlineTable>();
        services.AddSingleton<IOnlineFeatures, OnlineFeatures>();
    }

    public void ConfigureStore(StoreOptions store) => store
        .Event<DatasetUploaded>("features.dataset-uploaded")
        .Event<DatasetDeleted>("features.dataset-deleted")
        .Event<EntityCreated>("features.entity-created")
        .Event<FeatureViewCreated>("features.feature-view-created")
        .Event<FeatureViewMaterialised>("features.feature-view-materialised")
        .Event<FeatureViewDeleted>("features.feature-view-deleted")
        .State<Dataset>(Name)
        .State<Entity>(Name)
        .State<FeatureView>(Name)
        .Document<DatasetProfile>(Name)
        .Document<MaterialisationRun>(Name);

    public void MapApi(IEndpointRouteBuilder api, IEndpointRouteBuilder root)
    {
        UploadDataset.Map(api);
        ListDatasets.Map(api);
        GetDataset.Map(api);
        GetQuarantine.Map(api);
        PreviewRows.Map(api);
        DeleteDataset.Map(api);
        CreateEntity.Map(api);
        ListEntities.Map(api);
        CreateFeatureView.Map(api);
        ListFeatureViews.Map(api);
        GetFeatureView.Map(api);
        MaterialiseFeatureView.Map(api);
        ReadOnlineFeatures.Map(api);
        DeleteFeatureView.Map(api);
    }
}
