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
using Platform.Inference.Predict.Admission;
using Platform.Inference.Predict.Journal;
using Platform.Inference.Predict.OpenInference;
using Platform.Inference.Predict.Runtimes;
using Platform.Inference.Predictions;
using Platform.Inference.ResidentModels;
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
        services.AddHostedService(sp => new RunGuard(options.ProcessMemory, sp.GetRequiredService<RunGate>(), sp.GetRequiredService<ILogger<RunGuard>>()));
        services.AddSingleton<PredictMetrics>();
        services.AddSingleton<ServingTable>();
        services.AddSingleton(sp => new RunGate(options.Runs, options.GuestRuns, options.LongestRun, options.Waits, sp.GetRequiredService<TimeProvider>()));
        services.AddSingleton<IModelRuntime>(_ => new OnnxEngine(options.Placement));
        services.AddSingleton<IModelRuntime, MlNetEngine>();
        services.AddSingleton(new RemoteHttp(options.Remote));
        services.AddSingleton<IModelRuntime, RemoteEngine>();
        services.AddSingleton<IModelRuntime>(sp => new CompositeEngine(sp.GetRequiredService<ModelCache>, sp.GetRequiredService<RunGate>(), options, sp.GetRequiredService<TimeProvider>()));
        services.AddSingleton<IChildWork, MlNetInspection>();
        services.AddSingleton<IChildWork, ExampleTrialWork>();
        services.AddSingleton(sp => new ModelCache(sp.GetServices<IModelRuntime>(), sp.GetRequiredService<IBlobStore>(), sp.GetRequiredService<RunGate>(),
            options.ModelMemory, NativeMemory.Resident, sp.GetRequiredService<TimeProvider>(), sp.GetRequiredService<ILogger<ModelCache>>()));
        services.AddSingleton<QuotaLeases>();
        services.AddSingleton<TenantCounts>();
        // Before the journal's writer, so that it ends after it: what is left of the leases is known when the last row is written.
        services.AddHostedService<QuotaKeeper>();
        services.AddSingleton(sp => new JournalWriter(sp.GetRequiredService<NpgsqlDataSource>(), options.Journal, sp.GetRequiredService<TimeProvider>(), sp.GetRequiredService<ILogger<JournalWriter>>()));
        services.AddHostedService(sp => sp.GetRequiredService<JournalWriter>());
        services.AddSingleton(sp => new ResponseCache((long)options.ResponseCacheMiB << 20, sp.GetRequiredService<TimeProvider>()));
        services.AddSingleton<RunStep>();
        services.AddSingleton<Predictor>();
        services.AddSingleton<NamedColumns>();
        services.AddSingleton<PredictStream>();
        services.AddSingleton<Tensors>();
        services.AddSingleton<GrpcTensors>();
        services.AddSingleton<GrpcInference>();
        services.AddGrpc().AddServiceOptions<GrpcInference>(grpc => grpc.MaxReceiveMessageSize = (int)Math.Min(options.MaxBodyBytes, int.MaxValue));
        services.AddSingleton<JournalReader>();
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
        ListResidentModels.Map(api);
        ServerMetadata.Map(root);
        ServerLive.Map(root);
        ServerReady.Map(root);
        ModelMetadata.Map(root);
        ModelReady.Map(root);
        ModelInfer.Map(root);
        ModelConfig.Map(root);
        ModelStatistics.Map(root);
        ListProtocolModels.Map(root);
        RepositoryIndex.Map(root);
        RepositoryModelLoad.Map(root);
        RepositoryModelUnload.Map(root);
        GrpcInference.Map(root);
        UnknownProtocolRoute.Map(root);
    }

    public IEnumerable<INotification> Publish(IEvent committed) => committed.Data switch
    {
        EndpointDeployed deployed => [Changed(committed, deployed.Model, deployed.AliasOrVersion, retired: false)],
        EndpointUpdated updated => [Changed(committed, updated.Model, updated.AliasOrVersion, retired: false)],
        EndpointRetired retired => [Changed(committed, retired.Model, retired.AliasOrVersion, retired: true)],
        _ => [],
    };

    private static EndpointChanged Changed(IEvent committed, string model, string aliasOrVersion, bool retired) =>
        new(committed.TenantId, Endpoint.NameOf(committed.StreamKey!), model, aliasOrVersion, retired);
}
