using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>Loads an endpoint's model into memory, so that its next request need not wait for that. What an endpoint serves is decided by its alias
/// and the approvals that guard it, so a file or a configuration sent along is refused with the way there.</summary>
internal static class RepositoryModelLoad
{
    internal sealed record Request(Dictionary<string, JsonElement>? Parameters);

    internal static void Map(IEndpointRouteBuilder routes)
    {
        var (table, options) = (routes.ServiceProvider.GetRequiredService<ServingTable>(), routes.ServiceProvider.GetRequiredService<InferenceOptions>());
        routes.MapPost("v2/repository/models/{endpoint}/load", PostAsync).WithName(nameof(RepositoryModelLoad)).Needs(Permissions.Write)
            .WithSummary("Load an endpoint's model into memory (Triton's repository extension)").Accepts<Request>(isOptional: true, "application/json", "*/*").Produces<Done>().Refuses();

        async Task PostAsync(string endpoint, HttpContext context)
        {
            var request = await ProtocolJson.ReadAsync(context, options.MaxBodyBytes, ProtocolJsonContext.Default.LoadRequest);
            var refusal = request.Refusal ?? await LoadAsync(table, context, endpoint, (ICollection<string>?)request.Value?.Parameters?.Keys ?? []);
            if (refusal is not null) await ProtocolJson.RefuseAsync(context, refusal);
            else await ProtocolJson.WriteAsync(context, StatusCodes.Status200OK, Done.Value, ProtocolJsonContext.Default.Done);
        }
    }

    public static async Task<Refusal?> LoadAsync(ServingTable table, HttpContext context, string endpoint, ICollection<string> parameters)
    {
        var found = ProtocolRoutes.Find(table, context, endpoint, null);
        if (found.Refusal is { } refusal) return refusal;
        var (terms, model) = (found.Value.Terms, found.Value.Version.Model);
        if (parameters.FirstOrDefault(parameter => parameter.StartsWith("file:", StringComparison.Ordinal)) is { } file)
            return Refusal.Conflict("alias-decides", $"The endpoint '{endpoint}' serves what '{terms.AliasOrVersion}' of the model '{model}' is, and a file cannot take its place unapproved.", file,
                $"Upload it as a new version (POST /api/v1/registry/models/{model}/versions) and point the alias at that version (PUT /api/v1/registry/models/{model}/aliases/{{alias}}).");
        if (parameters.Contains("config"))
            return Refusal.Invalid("no-configuration", "Models have no configuration here: shapes are read from the file, and the rest is measured when it is loaded.", "config", "Leave 'config' out.");
        var loaded = await found.Value.Model.UseAsync(context.RequestAborted);
        if (loaded.IsOk) loaded.Value.Release();
        return loaded.Refusal;
    }
}

/// <summary>Takes an endpoint's model out of memory. The endpoint goes on answering: its next request loads the model again. To stop it, retire it.</summary>
internal static class RepositoryModelUnload
{
    internal static void Map(IEndpointRouteBuilder routes)
    {
        var (table, models) = (routes.ServiceProvider.GetRequiredService<ServingTable>(), routes.ServiceProvider.GetRequiredService<ModelCache>());
        routes.MapPost("v2/repository/models/{endpoint}/unload", (string endpoint, HttpContext context) => Unload(table, models, context, endpoint) is { } refusal
                ? ProtocolJson.RefuseAsync(context, refusal)
                : ProtocolJson.WriteAsync(context, StatusCodes.Status200OK, Done.Value, ProtocolJsonContext.Default.Done))
            .WithName(nameof(RepositoryModelUnload)).Needs(Permissions.Write)
            .WithSummary("Take an endpoint's model out of memory until its next request (Triton's repository extension)").Produces<Done>().Refuses();
    }

    public static Refusal? Unload(ServingTable table, ModelCache models, HttpContext context, string endpoint)
    {
        var found = ProtocolRoutes.Find(table, context, endpoint, null);
        if (found.IsOk) models.Unload(found.Value.Model);
        return found.Refusal;
    }
}
