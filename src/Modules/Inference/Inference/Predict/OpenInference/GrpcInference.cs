using System.Globalization;
using Grpc.AspNetCore.Server;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.AspNetCore.Routing;
using Platform.Inference.Predict.Journal;
using Platform.Inference.Predict.OpenInference.Wire;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>The Open Inference Protocol over gRPC, with Triton's repository, statistics and configuration: the same answers as the routes under <c>/v2</c>,
/// for the same keys (as the metadata <c>authorization</c>) and with the same permissions.</summary>
/// <remarks>Not sealed, and its calls virtual, because the framework looks for virtual methods.</remarks>
[BindServiceMethod(typeof(GrpcInference), nameof(Bind))]
internal class GrpcInference(Predictor predictor, GrpcTensors tensors, ServingTable table, ModelCache models, JournalWriter journal, TimeProvider time)
{
    /// <summary>ModelInfer with messages that go from the wire to the tensors and back without objects between.</summary>
    private static readonly Method<InferCall, InferAnswer> Infer = new(MethodType.Unary, GRPCInferenceService.Descriptor.FullName, nameof(ModelInfer),
        Marshallers.Create((_, _) => throw new NotSupportedException("Calls are only received."), InferCall.Read),
        Marshallers.Create<InferAnswer>(InferAnswer.Write, _ => throw new NotSupportedException("Answers are only sent.")));

    internal static void Map(IEndpointRouteBuilder routes) => routes.MapGrpcService<GrpcInference>().Add(endpoint =>
    {
        endpoint.Metadata.Add(endpoint.Metadata.OfType<GrpcMethodMetadata>().FirstOrDefault()?.Method.Name switch
        {
            null => new OpenToAll("It says only that there is no such method."),
            nameof(ServerLive) or nameof(ServerReady) or nameof(ServerMetadata) => new OpenToAll("Clients ask before they authenticate, and it tells nothing of any tenant."),
            nameof(RepositoryModelLoad) or nameof(RepositoryModelUnload) => new NeedsAttribute(Permissions.Write),
            _ => new NeedsAttribute(Permissions.Predict),
        });
        if (endpoint.Metadata.OfType<GrpcMethodMetadata>().FirstOrDefault()?.Method.Name is nameof(ModelInfer)) endpoint.Metadata.Add(new NeedsNothingAround());
        // The framework holds each message to its own limit, before it reads it.
        endpoint.Metadata.Add(BodyLimit.None);
    });

    public static void Bind(ServiceBinderBase binder, GrpcInference _) => GRPCInferenceService.BindService(new Binder(binder), null);

    public virtual async Task<InferAnswer> ModelInfer(InferCall request, ServerCallContext context)
    {
        using var call = request;
        var http = context.GetHttpContext();
        var (endpoint, version) = Answered(InferMessage.Address(call.Message));
        var plan = Answered(ProtocolRoutes.Find(table, http, endpoint, version));
        var work = Answered(await predictor.AnswerAsync(http.Features.Get<Caller>()!, plan, begun => Read(call, context.Deadline, begun), tensors, context.CancellationToken));
        var answer = new InferAnswer(work);
        // It is written from the work's own tensors after this returns.
        http.Response.RegisterForDispose(answer);
        return answer;
    }

    public virtual Task<ServerLiveResponse> ServerLive(ServerLiveRequest request, ServerCallContext context) => Task.FromResult(new ServerLiveResponse { Live = true });

    public virtual Task<ServerReadyResponse> ServerReady(ServerReadyRequest request, ServerCallContext context) =>
        Task.FromResult(new ServerReadyResponse { Ready = OpenInference.ServerReady.Why(table, journal) is null });

    public virtual Task<ServerMetadataResponse> ServerMetadata(ServerMetadataRequest request, ServerCallContext context)
    {
        var server = OpenInference.ServerMetadata.Description;
        return Task.FromResult(new ServerMetadataResponse { Name = server.Name, Version = server.Version, Extensions = { server.Extensions } });
    }

    public virtual Task<ModelReadyResponse> ModelReady(ModelReadyRequest request, ServerCallContext context) =>
        Task.FromResult(new ModelReadyResponse { Ready = Find(context, request.Name, request.Version).Model.Failure is null });

    public virtual Task<ModelMetadataResponse> ModelMetadata(ModelMetadataRequest request, ServerCallContext context)
    {
        var model = OpenInference.ModelMetadata.Of(Find(context, request.Name, request.Version));
        return Task.FromResult(new ModelMetadataResponse
        {
            Name = model.Name,
            Platform = model.Platform,
            Versions = { model.Versions },
            Inputs = { model.Inputs.Select(Described) },
            Outputs = { model.Outputs.Select(Described) },
        });

        static ModelMetadataResponse.Types.TensorMetadata Described(TensorDescription tensor) => new() { Name = tensor.Name, Datatype = tensor.Datatype, Shape = { tensor.Shape } };
    }

    public virtual Task<ModelConfigResponse> ModelConfig(ModelConfigRequest request, ServerCallContext context)
    {
        var config = OpenInference.ModelConfig.Of(Find(context, request.Name, request.Version));
        return Task.FromResult(new ModelConfigResponse
        {
            Config = new Wire.ModelConfig
            {
                Name = config.Name,
                Platform = config.Platform,
                Backend = config.Backend,
                VersionPolicy = new ModelVersionPolicy { Specific = new ModelVersionPolicy.Types.Specific { Versions = { config.VersionPolicy.Specific.Versions.Select(version => (long)version) } } },
                MaxBatchSize = config.MaxBatchSize,
                Input = { config.Input.Select(tensor => new ModelInput { Name = tensor.Name, DataType = Type(tensor), Dims = { tensor.Dims } }) },
                Output = { config.Output.Select(tensor => new ModelOutput { Name = tensor.Name, DataType = Type(tensor), Dims = { tensor.Dims } }) },
            },
        });

        // TYPE_FP32 in the protocol's words is TypeFp32 in ours.
        static DataType Type(ConfigOfTensor tensor) => Enum.Parse<DataType>(tensor.DataType.Replace("_", "", StringComparison.Ordinal), ignoreCase: true);
    }

    public virtual Task<ModelStatisticsResponse> ModelStatistics(ModelStatisticsRequest request, ServerCallContext context)
    {
        var statistics = Answered(OpenInference.ModelStatistics.Of(table, context.GetHttpContext(), request.Name, request.Version));
        return Task.FromResult(new ModelStatisticsResponse { ModelStats = { statistics.ModelStats.Select(Counted) } });

        static Wire.ModelStatistics Counted(StatisticsOfModel model) => new()
        {
            Name = model.Name,
            Version = model.Version,
            LastInference = (ulong)model.LastInference,
            InferenceCount = (ulong)model.InferenceCount,
            ExecutionCount = (ulong)model.ExecutionCount,
            InferenceStats = new InferStatistics
            {
                Success = Took(model.InferenceStats.Success),
                Fail = Took(model.InferenceStats.Fail),
                Queue = Took(model.InferenceStats.Queue),
                ComputeInput = Took(model.InferenceStats.ComputeInput),
                ComputeInfer = Took(model.InferenceStats.ComputeInfer),
                ComputeOutput = Took(model.InferenceStats.ComputeOutput),
                CacheHit = Took(model.InferenceStats.CacheHit),
                CacheMiss = Took(model.InferenceStats.CacheMiss),
            },
            MemoryUsage = { model.MemoryUsage.Select(memory => new MemoryUsage { Type = memory.Type, Id = memory.Id, ByteSize = (ulong)memory.ByteSize }) },
        };

        static StatisticDuration Took(CountAndTime took) => new() { Count = (ulong)took.Count, Ns = (ulong)took.Ns };
    }

    public virtual Task<RepositoryIndexResponse> RepositoryIndex(RepositoryIndexRequest request, ServerCallContext context) => Task.FromResult(new RepositoryIndexResponse
    {
        Models =
        {
            OpenInference.RepositoryIndex.Of(table, context.GetHttpContext(), request.Ready)
                .Select(model => new RepositoryIndexResponse.Types.ModelIndex { Name = model.Name, Version = model.Version ?? "", State = model.State, Reason = model.Reason }),
        },
    });

    public virtual async Task<RepositoryModelLoadResponse> RepositoryModelLoad(RepositoryModelLoadRequest request, ServerCallContext context) =>
        await OpenInference.RepositoryModelLoad.LoadAsync(table, context.GetHttpContext(), request.ModelName, request.Parameters.Keys) is { } refusal ? throw Refused(refusal) : new();

    public virtual Task<RepositoryModelUnloadResponse> RepositoryModelUnload(RepositoryModelUnloadRequest request, ServerCallContext context) =>
        OpenInference.RepositoryModelUnload.Unload(table, models, context.GetHttpContext(), request.ModelName) is { } refusal ? throw Refused(refusal) : Task.FromResult(new RepositoryModelUnloadResponse());

    /// <summary>The call's own deadline bounds it as the parameter <c>timeout</c> does; the nearer counts. Beyond an hour it is as good as none.</summary>
    private Refusal? Read(InferCall call, DateTime deadline, PredictionWork work)
    {
        if (tensors.Read(null, call.Message, work) is { } refusal) return refusal;
        var left = work.Stages.SoFar + (deadline - time.GetUtcNow().UtcDateTime);
        if (left < (work.Timeout ?? TimeSpan.FromHours(1))) work.Timeout = left > TimeSpan.Zero ? left : TimeSpan.Zero;
        return null;
    }

    private ServingPlan Find(ServerCallContext context, string endpoint, string version) => Answered(ProtocolRoutes.Find(table, context.GetHttpContext(), endpoint, version));

    private static T Answered<T>(Result<T> result) => result.Refusal is { } refusal ? throw Refused(refusal) : result.Value;

    /// <summary>A refusal is a status, which is thrown because that is how the framework takes one.</summary>
    private static RpcException Refused(Refusal refusal)
    {
        var trailers = new Metadata();
        if (refusal.RetryAfter is { } after) trailers.Add("retry-after", Math.Max(1, (long)Math.Ceiling(after.TotalSeconds)).ToString(CultureInfo.InvariantCulture));
        var status = refusal.Code is Predictor.DeadlineExceeded ? StatusCode.DeadlineExceeded : (StatusCode)GrpcRefusals.Status(refusal.Kind);
        return new RpcException(new Status(status, GrpcRefusals.Message(refusal)), trailers);
    }

    private sealed record BodyLimit(long? MaxRequestBodySize) : IRequestSizeLimitMetadata
    {
        public static readonly BodyLimit None = new((long?)null);
    }

    /// <summary>Binds the generated methods to those above by their names, but for the one whose messages are not generated.</summary>
    private sealed class Binder(ServiceBinderBase binder) : ServiceBinderBase
    {
        public override void AddMethod<TRequest, TResponse>(Method<TRequest, TResponse> method, UnaryServerMethod<TRequest, TResponse>? handler)
        {
            if (method.Name == Infer.Name) binder.AddMethod(Infer, (UnaryServerMethod<InferCall, InferAnswer>?)null);
            else binder.AddMethod(method, handler);
        }
    }
}
