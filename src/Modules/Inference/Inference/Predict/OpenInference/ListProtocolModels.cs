using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Platform.Kernel;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>The names of the tenant's models, as KServe's clients ask for them.</summary>
internal static class ListProtocolModels
{
    internal static void Map(IEndpointRouteBuilder routes)
    {
        var table = routes.ServiceProvider.GetRequiredService<ServingTable>();
        routes.MapGet("v2/models", (Delegate)((HttpContext context) =>
                ProtocolJson.WriteAsync(context, StatusCodes.Status200OK, new ModelNames([.. ProtocolRoutes.All(table, context).Select(one => one.Name)]), ProtocolJsonContext.Default.ModelNames)))
            .WithName(nameof(ListProtocolModels)).Needs(Permissions.Predict).WithSummary("List the models (Open Inference Protocol)").Produces<ModelNames>();
    }
}
