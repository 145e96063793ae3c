using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Features.Contracts;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Features.FeatureViews;

/// <summary>Looks features up by key, all keys in one call, as a prediction does.</summary>
internal static class ReadOnlineFeatures
{
    internal const int MostKeys = 1_000;

    /// <param name="Keys">At most 1 000, as the key column's values are written: digits for whole numbers, ISO 8601 for dates.</param>
    internal sealed record Body(IReadOnlyList<string> Keys);

    [Needs(Permissions.Read)]
    internal sealed record Query(string View, IReadOnlyList<string> Keys) : IRequest<Result<Response>>;

    /// <param name="Rows">One for each key, in the order asked.</param>
    internal sealed record Response(string View, int DatasetVersion, DateTimeOffset MaterialisedAt, IReadOnlyList<Row> Rows);

    /// <param name="Values">By column, null where missing; null as a whole when the key is unknown.</param>
    internal sealed record Row(string Key, IReadOnlyDictionary<string, object?>? Values);

    internal sealed class Rules : AbstractValidator<Query>
    {
        public Rules()
        {
            RuleFor(q => q.Keys).NotNull().Must(keys => keys is { Count: > 0 and <= MostKeys }).WithMessage($"Ask for 1 to {MostKeys} keys at a time.");
            RuleForEach(q => q.Keys).NotNull();
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("feature-views/{view}/lookup", Post).WithName(nameof(ReadOnlineFeatures)).Needs(Permissions.Read).WithSummary("Look features up by key")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Ok<Response>, ProblemHttpResult>> Post(string view, Body body, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Query(view, body.Keys), ct).ToOk();

    internal sealed class Handler(IQuerySession session, IOnlineFeatures online, CallerScope scope) : IRequestHandler<Query, Result<Response>>
    {
        public async Task<Result<Response>> Handle(Query query, CancellationToken ct)
        {
            var found = await FoundViews.FindAsync(session, query.View, ct);
            if (found.Refusal is { } refusal) return refusal;
            if (found.Value.Materialised is not { } materialised)
            {
                return Refusal.Conflict("not-materialised", $"The feature view '{query.View}' has not been materialised yet.", "view", $"POST /api/v1/features/feature-views/{query.View}/materialise and wait until it has succeeded.");
            }

            var rows = await online.ReadAsync(scope.Current.Tenant, query.View, query.Keys, ct);
            return new Response(query.View, materialised.DatasetVersion, materialised.At, [.. query.Keys.Zip(rows, (key, values) => new Row(key, values))]);
        }
    }
}
