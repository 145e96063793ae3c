using Marten;
using MediatR;
using Platform.Features.Contracts;
using Platform.Features.FeatureViews;

namespace Platform.Features.Integration;

internal sealed class AnswerDescribeFeatureViews(IQuerySession session) : IRequestHandler<DescribeFeatureViews, IReadOnlyList<FeatureViewDescription>>
{
    public async Task<IReadOnlyList<FeatureViewDescription>> Handle(DescribeFeatureViews asked, CancellationToken ct)
    {
        List<FeatureViewDescription> described = [];
        foreach (var view in await session.LoadManyAsync<FeatureView>(ct, asked.Names.Distinct().Select(FeatureView.Key)))
        {
            if (view.Deleted) continue;
            var features = FeatureViewView.FeaturesOf(view, await FoundViews.ProfileAsync(session, view, ct));
            described.Add(new FeatureViewDescription(view.Name(), view.Entity, view.KeyColumn, features, view.Materialised is not null));
        }

        return described;
    }
}
