using JasperFx.Events;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;
using Platform.Inference.Contracts;
using Platform.Inference.Endpoints;
using Platform.Inference.Predict;
using Platform.Inference.Predict.Journal;
using Platform.Inference.Predict.OpenInference;
using Platform.Inference.Predict.Runtimes;
using Platform.Inference.Predictions;
using Platform.Kernel;
using Platform.Kernel.Store;

namespace Platform.Inference;

/// <summary>Endpoints, the prediction path behind them, and the journal of every prediction answered.</summary>
public sealed class InferenceModule : IModule
{
    public string Name => "inference";

    public string Sql => JournalSchema.Sql;

    public void AddServices(IServiceCollection services, IConfiguration configuration)
    {
        // Before anything in the process, another module's training included, touches ONNX Runtime.
        OrtTelemetry.Disable();
        var options = configuration.GetSection("Inference").Get<InferenceOptions>() ?? new InferenceOptions();
        services.AddSingleton(options);
        services.AddSingleton<PredictMetrics>();
        services.AddSingleton<ServingTable>();
        services.AddSingleton(sp => new RunGate(options.Runs, options.LongestRun, options.MaxWaitingPerTenant, sp.GetRequiredService<TimeProvider>()));
        services.AddSingleton<IModelRuntime>(_ => new OnnxEngine(options.Placement));
        services.AddSingleton(sp => new ModelCache(sp.GetRequiredService<IModelRuntime>(), sp.GetRequiredService<IBlobStore>(), sp.GetRequiredService<RunGate>(),
            options.ModelMemory, NativeMemory.Resident, sp.GetRequiredService<TimeProvider>(), sp.GetRequiredService<ILogger<ModelCache>>()));
        services.AddSingleton(sp => new JournalWriter(sp.GetRequiredService<NpgsqlDataSource>(), options.Journal, sp.GetRequiredService<TimeProvider>(), sp.GetRequiredService<ILogger<JournalWriter>>()));
        services.AddHostedService(sp => sp.GetRequiredService<JournalWriter>());
        services.AddSingleton<Predictor>();
        services.AddSingleton<NamedColumns>();
        services.AddSingleton<Tensors>();
        services.AddSingleton<JournalReader>();
        services.AddSingleton<TenantCounts>();
        services.AddScoped<SettingsCheck>();
        services.AddSingleton<PlanCompiler>();
        services.AddHostedService<PlanKeeper>();
        services.AddHealthChecks().AddCheck<ServingCheck>("serving", tags: ["ready"]);
    }

    public void ConfigureStore(StoreOptions store) => store
        .Event<EndpointDeployed>("inference.endpoint-deployed")
        .Event<EndpointUpdated>("inference.endpoint-updated")
        .Event<EndpointRetired>("inference.endpoint-retired")
        .Event<PlanCompiled>("inference.plan-compiled")
        .State<Endpoint>(Name);

    public void MapApi(IEndpointRouteBuilder api, IEndpointRouteBuilder root)
    {
        DeployEndpoint.Map(api);
        UpdateEndpoint.Map(api);
        ListEndpoints.Map(api);
        GetEndpoint.Map(api);
        RetireEndpoint.Map(api);
        Predict.Predict.Map(api);
        GetPrediction.Map(api);
        ListPredictions.Map(api);
        ServerMetadata.Map(root);
        ServerLive.Map(root);
        ServerReady.Map(root);
        ModelMetadata.Map(root);
        ModelReady.Map(root);
        ModelInfer.Map(root);
        UnknownProtocolRoute.Map(root);
    }

    public INotification? Publish(IEvent committed) => committed.Data switch
    {
        EndpointDeployed deployed => Changed(committed, deployed.Model, deployed.AliasOrVersion, retired: false),
        EndpointUpdated updated => Changed(committed, updated.Model, updated.AliasOrVersion, retired: false),
        EndpointRetired retired => Changed(committed, retired.Model, retired.AliasOrVersion, retired: true),
        _ => null,
    };

    private static EndpointChanged Changed(IEvent committed, string model, string aliasOrVersion, bool retired) =>
        new(committed.TenantId, Endpoint.NameOf(committed.StreamKey!), model, aliasOrVersion, retired);
}
