using MediatR;

namespace Platform.Features.Contracts;

/// <summary>Asked by whoever follows where things come from: the calling tenant's dataset versions and feature views, by name and content and without any values.</summary>
public sealed record DescribeData : IRequest<DataCatalogue>;

public sealed record DataCatalogue(IReadOnlyList<CataloguedDataset> Datasets, IReadOnlyList<CataloguedView> FeatureViews);

/// <summary>One version of a dataset.</summary>
/// <param name="ContentSha256">As <see cref="OpenedDataset"/> has it: what a training remembers.</param>
public sealed record CataloguedDataset(string Name, int Version, string ContentSha256, long Rows);

/// <param name="Dataset">What it is made of.</param>
/// <param name="DatasetVersion">The version that the online store answers with; null while it answers nothing.</param>
public sealed record CataloguedView(string Name, string Entity, string Dataset, int? DatasetVersion);
