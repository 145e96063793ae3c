using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Platform.Kernel;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>The tenant's endpoints as Triton's model repository: which would answer, which not and why.</summary>
internal static class RepositoryIndex
{
    /// <param name="Ready">True leaves out those that would not answer.</param>
    internal sealed record Request(bool? Ready);

    internal static void Map(IEndpointRouteBuilder routes)
    {
        var (table, options) = (routes.ServiceProvider.GetRequiredService<ServingTable>(), routes.ServiceProvider.GetRequiredService<InferenceOptions>());
        routes.MapPost("v2/repository/index", (Delegate)PostAsync).WithName(nameof(RepositoryIndex)).Needs(Permissions.Predict)
            .WithSummary("List the models and their states (Triton's repository extension)").Accepts<Request>(isOptional: true, "application/json", "*/*").Produces<IReadOnlyList<IndexedModel>>().Refuses();

        async Task PostAsync(HttpContext context)
        {
            var request = await ProtocolJson.ReadAsync(context, options.MaxBodyBytes, ProtocolJsonContext.Default.IndexRequest);
            if (request.Refusal is { } refusal) await ProtocolJson.RefuseAsync(context, refusal);
            else await ProtocolJson.WriteAsync(context, StatusCodes.Status200OK, Of(table, context, request.Value?.Ready is true), ProtocolJsonContext.Default.Index);
        }
    }

    /// <summary>A model that is not in memory is ready: the next request loads it.</summary>
    public static IReadOnlyList<IndexedModel> Of(ServingTable table, HttpContext context, bool readyOnly) =>
    [
        .. ProtocolRoutes.All(table, context).Select(one => one.Serving.Plan is not { } plan ? new IndexedModel(one.Name, null, "UNAVAILABLE", one.Serving.Why!.Detail)
            : plan.Model.Failure is { } failure ? new IndexedModel(one.Name, plan.Version.Version.ToString(), "UNAVAILABLE", failure.Detail)
            : new IndexedModel(one.Name, plan.Version.Version.ToString(), "READY", one.Serving.Why?.Detail ?? (plan.Model.IsLoaded ? "" : "not in memory; the next request loads it")))
            .Where(model => !readyOnly || model.State is "READY"),
    ];
}
