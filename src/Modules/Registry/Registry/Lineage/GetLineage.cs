using FluentValidation;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Lineage;

/// <summary>What a thing was made from, and what was made from it, as far as either goes: model versions, runs, logged models, datasets, feature views,
/// endpoints and revisions of code. Not what its origins were used for otherwise, which is their lineage.</summary>
internal static class GetLineage
{
    private const int MostNodes = 200;

    /// <param name="Of">Such as <c>version:price/3</c>, <c>dataset:sales@2</c>, <c>run:{id}</c>, <c>code:{commit}</c>.</param>
    /// <param name="Depth">Steps in each direction.</param>
    [Needs(Permissions.Read)]
    internal sealed record Query(string Of, int Depth = 8) : IRequest<Result<LineageGraph>>;

    internal sealed class Rules : AbstractValidator<Query>
    {
        public Rules()
        {
            RuleFor(q => q.Of).MaximumLength(600).Must(of => of is not null && LineageKey.Parse(of) is not null).WithMessage($"Name what is meant as kind:name, such as version:price/3. The kinds are {LineageKey.Kinds}.");
            RuleFor(q => q.Depth).InclusiveBetween(1, 20);
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("lineage", Get).WithName(nameof(GetLineage)).Needs(Permissions.Read).WithSummary("Get the lineage of a version, run, dataset, feature view, endpoint or code revision")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<LineageGraph>, ProblemHttpResult>> Get(string of, IMediator mediator, CancellationToken ct, int depth = 8) =>
        mediator.Send(new Query(of, depth), ct).ToOk();

    internal sealed class Handler(LineageReads reads) : IRequestHandler<Query, Result<LineageGraph>>
    {
        public async Task<Result<LineageGraph>> Handle(Query query, CancellationToken ct)
        {
            var key = LineageKey.Parse(query.Of)!.Value;
            if (await reads.FindAsync(key, ct) is not { } start) return Refusal.NotFound("thing", query.Of);
            var nodes = new Dictionary<LineageKey, LineageNode> { [start.Key] = NodeOf(start.Key, start.Facts, 0) };
            var edges = new HashSet<LineageEdge>();
            var truncated = false;
            foreach (var direction in (int[])[-1, 1])
            {
                var reached = new Queue<(LineageKey Key, LineageFacts Facts, int Distance)>([(start.Key, start.Facts, 0)]);
                while (reached.TryDequeue(out var at))
                {
                    var steps = direction < 0 ? at.Facts.Origins : at.Facts.Uses;
                    truncated |= direction > 0 && at.Facts.More;
                    if (Math.Abs(at.Distance) == query.Depth)
                    {
                        truncated |= steps.Count > 0;
                        continue;
                    }

                    foreach (var step in steps)
                    {
                        var found = await reads.FindAsync(step.Other, ct);
                        var other = found?.Key ?? step.Other;
                        if (!nodes.ContainsKey(other))
                        {
                            if (nodes.Count == MostNodes)
                            {
                                truncated = true;
                                continue;
                            }

                            nodes.Add(other, NodeOf(other, found?.Facts, at.Distance + direction));
                            if (found is not null) reached.Enqueue((other, found.Facts, at.Distance + direction));
                        }

                        edges.Add(direction < 0 ? new(at.Key.ToString(), other.ToString(), step.Relation) : new(other.ToString(), at.Key.ToString(), step.Relation));
                    }
                }
            }

            return new LineageGraph(start.Key.ToString(), [.. nodes.Values.OrderBy(node => node.Distance)], [.. edges], truncated);
        }

        private static LineageNode NodeOf(LineageKey key, LineageFacts? facts, int distance) =>
            new(key.ToString(), key.Kind, facts?.Title ?? key.Name, facts?.Detail, Gone: facts is null, distance);
    }
}
