using System.Reflection;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Platform.Inference.Predict.Journal;
using Platform.Kernel;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>What this server is and which parts of the protocol it speaks.</summary>
internal static class ServerMetadata
{
    public static readonly ServerDescription Description = new("platform",
        typeof(ServerMetadata).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0",
        ["binary_tensor_data", "parameters", "model_repository", "statistics", "model_configuration"]);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("v2", (Delegate)((HttpContext context) => ProtocolJson.WriteAsync(context, StatusCodes.Status200OK, Description, ProtocolJsonContext.Default.ServerDescription)))
            .WithName(nameof(ServerMetadata)).IsOpen("Clients ask for it before they authenticate, and it tells nothing of any tenant.")
            .WithSummary("Describe the server (Open Inference Protocol)").Produces<ServerDescription>();
}

/// <summary>Whether the process answers.</summary>
internal static class ServerLive
{
    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("v2/health/live", (Delegate)((HttpContext context) => ProtocolJson.WriteAsync(context, StatusCodes.Status200OK, new ServerHealth(true, true), ProtocolJsonContext.Default.ServerHealth)))
            .WithName(nameof(ServerLive)).IsOpen("Probes carry no credential, and the answer tells nothing else.")
            .WithSummary("Ask whether the server lives (Open Inference Protocol)").Produces<ServerHealth>();
}

/// <summary>Whether the server can predict: its endpoints are compiled and the journal can be written.</summary>
internal static class ServerReady
{
    internal static void Map(IEndpointRouteBuilder routes)
    {
        var (table, journal) = (routes.ServiceProvider.GetRequiredService<ServingTable>(), routes.ServiceProvider.GetRequiredService<JournalWriter>());
        routes.MapGet("v2/health/ready", (Delegate)((HttpContext context) =>
            {
                var why = Why(table, journal);
                return ProtocolJson.WriteAsync(context, why is null ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable,
                    new ServerHealth(true, why is null, why), ProtocolJsonContext.Default.ServerHealth);
            }))
            .WithName(nameof(ServerReady)).IsOpen("Probes carry no credential, and the answer tells nothing else.")
            .WithSummary("Ask whether the server is ready (Open Inference Protocol)").Produces<ServerHealth>().Produces<ServerHealth>(StatusCodes.Status503ServiceUnavailable);
    }

    /// <summary>Why the server is not ready; null when it is.</summary>
    public static string? Why(ServingTable table, JournalWriter journal) =>
        !table.IsReady ? "The endpoints are being prepared." : journal.IsDown ? "The prediction journal cannot be written." : null;
}

/// <summary>Every other address under <c>/v2</c>, and every other verb: clients read errors of routes that do not exist, too.</summary>
internal static class UnknownProtocolRoute
{
    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.Map("v2/{**rest}", (HttpContext context) => ProtocolJson.RefuseAsync(context, new Refusal(RefusalKind.NotFound, "no-such-route",
                $"There is no {context.Request.Method} {context.Request.Path}.", null, "See /docs for the routes there are.")))
            .WithName(nameof(UnknownProtocolRoute)).IsOpen("It says only that there is nothing.").ExcludeFromDescription();
}
