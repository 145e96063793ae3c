using FluentValidation;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Tracking;

namespace Platform.Registry.Experiments;

/// <summary>The tenant's experiments, the newest first, with how many runs each has.</summary>
internal static class ListExperiments
{
    /// <param name="Search">A part of the name.</param>
    /// <param name="Deleted">Those that were deleted, instead of those in use.</param>
    [Needs(Permissions.ReadRuns)]
    internal sealed record Query(string? Search = null, bool Deleted = false) : IRequest<Result<IReadOnlyList<ExperimentView>>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("experiments", Get).WithName(nameof(ListExperiments)).Needs(Permissions.ReadRuns).WithSummary("List experiments")
            .WithDescription("Experiments and runs are written with a client of MLflow.");

    private static Task<Results<Ok<IReadOnlyList<ExperimentView>>, ProblemHttpResult>> Get(IMediator mediator, CancellationToken ct, string? search = null, bool deleted = false) =>
        mediator.Send(new Query(search, deleted), ct).ToOk();

    internal sealed class Rules : AbstractValidator<Query>
    {
        public Rules() => RuleFor(q => q.Search).MaximumLength(500).Must(s => s?.Contains('\0') is not true).WithMessage("A name holds no character NUL.");
    }

    internal sealed class Handler(ExperimentStore experiments, CallerScope scope) : IRequestHandler<Query, Result<IReadOnlyList<ExperimentView>>>
    {
        public async Task<Result<IReadOnlyList<ExperimentView>>> Handle(Query query, CancellationToken ct) =>
            Result<IReadOnlyList<ExperimentView>>.Ok([.. (await experiments.CountAsync(scope.Current.Tenant, query.Search, query.Deleted ? Lifecycle.Deleted : Lifecycle.Active, ct)).Select(ExperimentView.Of)]);
    }
}
