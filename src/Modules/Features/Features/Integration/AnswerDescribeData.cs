using Marten;
using MediatR;
using Platform.Features.Contracts;
using Platform.Features.Datasets;
using Platform.Features.FeatureViews;

namespace Platform.Features.Integration;

internal sealed class AnswerDescribeData(IQuerySession session) : IRequestHandler<DescribeData, DataCatalogue>
{
    public async Task<DataCatalogue> Handle(DescribeData asked, CancellationToken ct)
    {
        var datasets = await session.Query<Dataset>().ToListAsync(ct);
        var views = await session.Query<FeatureView>().Where(view => !view.Deleted).ToListAsync(ct);
        return new(
            [.. datasets.SelectMany(dataset => dataset.Versions.Select(version => new CataloguedDataset(dataset.Name(), version.Number, version.ContentSha256, version.Rows)))],
            [.. views.Select(view => new CataloguedView(view.Name(), view.Entity, view.Dataset, view.Materialised?.DatasetVersion))]);
    }
}
