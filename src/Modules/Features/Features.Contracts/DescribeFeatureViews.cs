using MediatR;

namespace Platform.Features.Contracts;

/// <summary>What feature views offer, so that an endpoint can be checked against them when it is deployed. Unknown names are left out.</summary>
public sealed record DescribeFeatureViews(IReadOnlyList<string> Names) : IRequest<IReadOnlyList<FeatureViewDescription>>;

/// <summary>A feature view, its entity, the column that is the entity's key, and the columns it can add to a request.</summary>
public sealed record FeatureViewDescription(string Name, string Entity, string KeyColumn, IReadOnlyList<DatasetColumn> Features, bool Materialised);
