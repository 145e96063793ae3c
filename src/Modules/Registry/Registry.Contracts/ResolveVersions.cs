using MediatR;

namespace Platform.Registry.Contracts;

/// <summary>Which version an alias (or a number) means right now. Batch-shaped: ask once for all.</summary>
public sealed record ResolveVersions(IReadOnlyList<VersionRef> Refs) : IRequest<IReadOnlyList<ResolvedVersion>>;

/// <summary>A model and either an alias such as <c>champion</c> or a version number such as <c>3</c>.</summary>
public sealed record VersionRef(string Model, string AliasOrVersion);

/// <summary>The answer for one ref, in the order asked; <paramref name="Version"/> is null when nothing answers to it.</summary>
/// <param name="Author">Subject of the caller who made the version, for the four-eyes rule.</param>
/// <param name="WhyNotServed">Why there is no <paramref name="Version"/> though the model has one: it is kept and can be approved, but not served.</param>
public sealed record ResolvedVersion(VersionRef Ref, ServableVersion? Version, string? Author, bool ModelExists, string? WhyNotServed = null);

/// <summary>Asked by the registry of whoever serves, such as before a model is taken away: the endpoints in use, of one model or (null) of all.</summary>
public sealed record FindEndpointsOf(string? Model) : IRequest<IReadOnlyList<ServingEndpoint>>;

/// <summary>An endpoint in use, and what it follows: an alias, or a version's number.</summary>
/// <param name="FeatureView">The view that adds features to its requests; null for none.</param>
public sealed record ServingEndpoint(string Name, string Model, string AliasOrVersion, string? FeatureView);

/// <summary>An alias now points elsewhere. Serving follows.</summary>
public sealed record AliasMoved(string Tenant, string Model, string Alias, int? Version) : INotification;
