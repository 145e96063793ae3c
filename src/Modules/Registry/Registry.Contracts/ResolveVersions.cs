using MediatR;

namespace Platform.Registry.Contracts;

/// <summary>Which version an alias (or a number) means right now. Batch-shaped: ask once for all.</summary>
public sealed record ResolveVersions(IReadOnlyList<VersionRef> Refs) : IRequest<IReadOnlyList<ResolvedVersion>>;

/// <summary>A model and either an alias such as <c>champion</c> or a version number such as <c>3</c>.</summary>
public sealed record VersionRef(string Model, string AliasOrVersion);

/// <summary>The answer for one ref, in the order asked; <paramref name="Version"/> is null when nothing answers to it.</summary>
/// <param name="Author">Subject of the caller who made the version, for the four-eyes rule.</param>
public sealed record ResolvedVersion(VersionRef Ref, ServableVersion? Version, string? Author, bool ModelExists);

/// <summary>An alias now points elsewhere. Serving follows.</summary>
public sealed record AliasMoved(string Tenant, string Model, string Alias, int? Version) : INotification;
