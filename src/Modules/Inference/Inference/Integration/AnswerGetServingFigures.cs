using MediatR;
using Platform.Inference.Contracts;
using Platform.Inference.Predict;
using Platform.Kernel;

namespace Platform.Inference.Integration;

/// <summary>Answers <see cref="GetServingFigures"/> from memory: the calling tenant's endpoints on this replica, their slices added up.</summary>
internal sealed class AnswerGetServingFigures(ServingTable table, CallerScope scope) : IRequestHandler<GetServingFigures, Result<ServingFigures>>
{
    public Task<Result<ServingFigures>> Handle(GetServingFigures ask, CancellationToken ct)
    {
        var plans = table.Current.Where(entry => entry.Key.Tenant == scope.Current.Tenant).Select(entry => entry.Value.Plan).OfType<ServingPlan>().ToArray();
        var views = plans.Select(plan => plan.Figures.Read()).ToArray();
        var slices = views.SelectMany(view => view.Slices).GroupBy(slice => slice.At).OrderBy(slice => slice.Key)
            .Select(same => new ServingSlice(same.Key, same.Sum(s => s.Predictions), same.Sum(s => s.Refusals), same.Max(s => s.P50), same.Max(s => s.P99)));
        var refusals = views.SelectMany(view => view.Refusals).GroupBy(refusal => refusal.Key).ToDictionary(code => code.Key, code => code.Sum(c => c.Value));
        return Task.FromResult<Result<ServingFigures>>(new ServingFigures(
            [.. plans.Select(plan => plan.Terms.Endpoint).Order(StringComparer.Ordinal)], [.. slices], refusals));
    }
}
