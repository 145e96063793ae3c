using Microsoft.AspNetCore.Builder;

namespace Platform.Kernel;

/// <summary>Names the permission a request or an endpoint needs. On a MediatR request it is enforced by the pipeline, so that a page
/// cannot do what the API would refuse; on an endpoint it is enforced before the handler runs.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Struct)]
public sealed class NeedsAttribute(string permission) : Attribute
{
    public string Permission { get; } = permission;
}

/// <summary>Says why an endpoint is open to everyone; the architecture tests hold the list.</summary>
public sealed record OpenToAll(string Why);

/// <summary>Says of an endpoint that it writes every answer and refusal itself and uses no scope, no session of the store and no trace: the prediction path.</summary>
public sealed record NeedsNothingAround;

/// <summary>Ways an endpoint states what it needs.</summary>
public static class PermissionExtensions
{
    /// <summary>Requires <paramref name="permission"/> of the caller: 401 without a credential, 403 without the permission.</summary>
    public static TBuilder Needs<TBuilder>(this TBuilder endpoint, string permission) where TBuilder : IEndpointConventionBuilder =>
        endpoint.WithMetadata(new NeedsAttribute(permission));

    /// <summary>Lets anyone in, for a reason that is written down.</summary>
    public static TBuilder IsOpen<TBuilder>(this TBuilder endpoint, string why) where TBuilder : IEndpointConventionBuilder =>
        endpoint.WithMetadata(new OpenToAll(why));
}
