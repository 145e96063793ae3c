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

/// <summary>Gives an experiment another name, or changes its tags.</summary>
internal static class UpdateExperiment
{
    /// <param name="Tags">Those to set; null takes a tag away.</param>
    internal sealed record Body(string? Name = null, IReadOnlyDictionary<string, string?>? Tags = null);

    [Needs(Permissions.WriteRuns)]
    internal sealed record Command(string Experiment, Body Change) : IRequest<Result<ExperimentView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Change.Name).Must(n => n is null || (n.Length > 0 && RunKeys.IsText(n, RunKeys.LongestName))).WithMessage($"A name has 1 to {RunKeys.LongestName} characters, none of them NUL.").OverridePropertyName("name");
            RuleFor(c => c.Change.Tags).Must(t => t is null or { Count: <= RunKeys.MostTags }).WithMessage($"At most {RunKeys.MostTags} tags go into one call.").OverridePropertyName("tags");
            RuleForEach(c => c.Change.Tags).IsTagChange().OverridePropertyName("tags");
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPatch("experiments/{experiment}", Patch).WithName(nameof(UpdateExperiment)).Needs(Permissions.WriteRuns).WithSummary("Change an experiment's name and tags")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Ok<ExperimentView>, ProblemHttpResult>> Patch(string experiment, Body body, IMediator mediator, CancellationToken ct) => mediator.Send(new Command(experiment, body), ct).ToOk();

    internal sealed class Handler(ExperimentStore experiments, CallerScope scope) : IRequestHandler<Command, Result<ExperimentView>>
    {
        public async Task<Result<ExperimentView>> Handle(Command command, CancellationToken ct)
        {
            var (change, tenant) = (command.Change, scope.Current.Tenant);
            if (!long.TryParse(command.Experiment, out var id)) return Refusal.NotFound("experiment", command.Experiment);
            if (id == 0 && change.Name is not null) return Refusal.Conflict("default-experiment", "The default experiment keeps its name.", "name", "Create another one.");
            var changed = await experiments.UpdateAsync(tenant, id, change.Name, change.Tags ?? new Dictionary<string, string?>(), ct);
            if (changed.Refusal is { } refusal) return refusal.InOwnWords(command.Experiment);
            return await experiments.CountAsync(tenant, id, ct) is { } found ? ExperimentView.Of(found) : Refusal.NotFound("experiment", command.Experiment);
        }
    }
}
