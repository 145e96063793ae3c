using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Platform.Kernel;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>What the protocol's routes have in common: a model of the protocol is an endpoint of ours, and where a version may stand in the
/// address, so may the alias the endpoint follows.</summary>
internal static class ProtocolRoutes
{
    public const string Model = "v2/models/{endpoint}";
    public const string Version = "v2/models/{endpoint}/versions/{version}";

    /// <summary>The plan behind the address for this caller; another tenant's endpoint looks as if it did not exist.</summary>
    /// <param name="version">Null or empty for whichever the endpoint serves.</param>
    public static Result<ServingPlan> Find(ServingTable table, HttpContext context, string endpoint, string? version)
    {
        var found = table.Find(context.Features.Get<Caller>()!.Tenant, endpoint);
        if (found.Refusal is not null || version is null or "") return found;
        var plan = found.Value;
        return version == plan.Version.Version.ToString() || version == plan.Terms.AliasOrVersion ? plan
            : new Refusal(RefusalKind.NotFound, "no-such-version", $"The endpoint '{endpoint}' serves version {plan.Version.Version} ({plan.Terms.AliasOrVersion}), not '{version}'.", "version", "Leave the version out, or name that one.");
    }

    /// <summary>Every endpoint of the caller's tenant, by name.</summary>
    public static IEnumerable<(string Name, Serving Serving)> All(ServingTable table, HttpContext context)
    {
        var tenant = context.Features.Get<Caller>()!.Tenant;
        return table.Current.Where(one => one.Key.Tenant == tenant).Select(one => (one.Key.Endpoint, one.Value)).OrderBy(one => one.Endpoint, StringComparer.Ordinal);
    }

    public static RouteHandlerBuilder Refuses(this RouteHandlerBuilder route) => route
        .Produces<ProtocolError>(StatusCodes.Status400BadRequest).Produces<ProtocolError>(StatusCodes.Status404NotFound)
        .Produces<ProtocolError>(StatusCodes.Status429TooManyRequests).Produces<ProtocolError>(StatusCodes.Status503ServiceUnavailable);
}
