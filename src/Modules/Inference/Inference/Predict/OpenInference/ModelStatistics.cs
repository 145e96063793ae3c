using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Platform.Kernel;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>What the endpoints did since this process started, in the shape of Triton's statistics extension; counted by each replica for itself.</summary>
internal static class ModelStatistics
{
    internal static void Map(IEndpointRouteBuilder routes)
    {
        var table = routes.ServiceProvider.GetRequiredService<ServingTable>();
        routes.MapGet("v2/models/stats", (Delegate)((HttpContext context) => AnswerAsync(table, context, null, null))).WithName(nameof(AllModelStatistics)).Describe();
        routes.MapGet($"{ProtocolRoutes.Model}/stats", (string endpoint, HttpContext context) => AnswerAsync(table, context, endpoint, null)).WithName(nameof(ModelStatistics)).Describe();
        routes.MapGet($"{ProtocolRoutes.Version}/stats", (string endpoint, string version, HttpContext context) => AnswerAsync(table, context, endpoint, version)).WithName(nameof(ModelVersionStatistics)).Describe();
    }

    /// <param name="endpoint">Null or empty for all of the tenant's.</param>
    public static Result<StatisticsOfModels> Of(ServingTable table, HttpContext context, string? endpoint, string? version)
    {
        if (endpoint is null or "") return new StatisticsOfModels([.. ProtocolRoutes.All(table, context).Select(one => one.Serving.Plan).OfType<ServingPlan>().Select(Of)]);
        var found = ProtocolRoutes.Find(table, context, endpoint, version);
        return found.Refusal is { } refusal ? refusal : new StatisticsOfModels([Of(found.Value)]);
    }

    private static Task AnswerAsync(ServingTable table, HttpContext context, string? endpoint, string? version)
    {
        var statistics = Of(table, context, endpoint, version);
        return statistics.Refusal is { } refusal ? ProtocolJson.RefuseAsync(context, refusal)
            : ProtocolJson.WriteAsync(context, StatusCodes.Status200OK, statistics.Value, ProtocolJsonContext.Default.StatisticsOfModels);
    }

    private static StatisticsOfModel Of(ServingPlan plan)
    {
        var totals = plan.Totals;
        var (answers, hits) = (totals.Answers, totals.Remembered);
        var run = Math.Max(0, answers - hits);
        return new(plan.Terms.Endpoint, plan.Version.Version.ToString(), totals.LastAnswer?.ToUnixTimeMilliseconds() ?? 0, Math.Max(0, totals.Units - totals.RememberedUnits), totals.Runs,
            new(new(answers, Nanoseconds(totals.Answered)), new(totals.Refusals, 0), new(run, Nanoseconds(totals.Queue)), new(answers, Nanoseconds(totals.Parse)),
                new(run, Nanoseconds(totals.Run)), new(answers, Nanoseconds(totals.Record)), new(hits, 0), new(plan.Terms.CacheSeconds > 0 ? run : 0, 0)),
            [], plan.Model.Loaded is { } session ? [new("CPU", 0, session.Bytes)] : []);
    }

    private static long Nanoseconds(TimeSpan time) => time.Ticks * TimeSpan.NanosecondsPerTick;

    private static RouteHandlerBuilder Describe(this RouteHandlerBuilder route) => route.Needs(Permissions.Predict)
        .WithSummary("Read what was answered and how long it took (Triton's statistics extension)").Produces<StatisticsOfModels>().Refuses();
}

/// <summary><see cref="ModelStatistics"/> of every endpoint of the tenant.</summary>
internal static class AllModelStatistics;

/// <summary><see cref="ModelStatistics"/> with the version or alias in the address.</summary>
internal static class ModelVersionStatistics;

internal sealed record StatisticsOfModels(IReadOnlyList<StatisticsOfModel> ModelStats);

/// <param name="LastInference">Milliseconds since 1970; 0 before the first.</param>
/// <param name="InferenceCount">Rows answered by runs of the model.</param>
/// <param name="ExecutionCount">Runs of the model: of a batch, one. So <c>inference_count / execution_count</c> is the mean batch.</param>
/// <param name="MemoryUsage">Empty when the model is not in memory.</param>
internal sealed record StatisticsOfModel(
    string Name, string Version, long LastInference, long InferenceCount, long ExecutionCount, StatisticsOfStages InferenceStats, IReadOnlyList<object> BatchStats, IReadOnlyList<MemoryOfModel> MemoryUsage);

/// <param name="Fail">Requests refused for whatever reason; their time is not measured.</param>
/// <param name="ComputeInput">Reading the request, features included.</param>
/// <param name="ComputeOutput">Judging the outputs and writing the journal.</param>
/// <param name="CacheHit">Answers from the response cache. What looking there takes is not measured.</param>
/// <param name="CacheMiss">Answers of an endpoint with a response cache that it did not have.</param>
internal sealed record StatisticsOfStages(
    CountAndTime Success, CountAndTime Fail, CountAndTime Queue, CountAndTime ComputeInput, CountAndTime ComputeInfer, CountAndTime ComputeOutput, CountAndTime CacheHit, CountAndTime CacheMiss);

internal sealed record CountAndTime(long Count, long Ns);

internal sealed record MemoryOfModel(string Type, int Id, long ByteSize);
