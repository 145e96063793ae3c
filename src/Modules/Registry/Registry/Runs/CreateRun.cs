using FluentValidation;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Tracking;

namespace Platform.Registry.Runs;

/// <summary>Begins a run, which is then logged into and ended with <see cref="UpdateRun"/>.</summary>
internal static class CreateRun
{
    /// <param name="Name">One is made up when it is left out.</param>
    /// <param name="StartedAt">Now when it is left out.</param>
    /// <param name="Parent">The run that this one is part of.</param>
    internal sealed record Body(string? Name = null, DateTimeOffset? StartedAt = null, string? Parent = null, IReadOnlyDictionary<string, string>? Tags = null);

    [Needs(Permissions.WriteRuns)]
    internal sealed record Command(string Experiment, Body Run) : IRequest<Result<RunView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Run.Name).Must(n => n is null || RunKeys.IsText(n, RunKeys.LongestName)).WithMessage($"A name has at most {RunKeys.LongestName} characters, none of them NUL.").OverridePropertyName("name");
            RuleFor(c => c.Run.Tags).Must(t => t is null or { Count: <= RunKeys.MostTags }).WithMessage($"At most {RunKeys.MostTags} tags go into one call.").OverridePropertyName("tags");
            RuleForEach(c => c.Run.Tags).SetValidator(new TagRules()).OverridePropertyName("tags");
        }
    }

    /// <summary>A tag's key and text.</summary>
    internal sealed class TagRules : AbstractValidator<KeyValuePair<string, string>>
    {
        public TagRules()
        {
            RuleFor(t => t.Key).Must(RunKeys.IsSound).WithMessage($"A key has 1 to {RunKeys.Longest} characters: {RunKeys.Letters}; no part between slashes is empty or only dots.");
            RuleFor(t => t.Value).Must(v => RunKeys.IsText(v, RunKeys.LongestTag)).WithMessage($"A tag's value is a text of at most {RunKeys.LongestTag} characters, none of them NUL.");
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("experiments/{experiment}/runs", Post).WithName(nameof(CreateRun)).Needs(Permissions.WriteRuns).WithSummary("Begin a run")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Created<RunView>, ProblemHttpResult>> Post(string experiment, Body body, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(experiment, body), ct).ToCreated(made => $"/api/v1/registry/runs/{made.Id}");

    internal sealed class Handler(ExperimentStore experiments, RunStore runs, TimeProvider time, CallerScope scope) : IRequestHandler<Command, Result<RunView>>
    {
        public async Task<Result<RunView>> Handle(Command command, CancellationToken ct)
        {
            var (body, tenant) = (command.Run, scope.Current.Tenant);
            if (!long.TryParse(command.Experiment, out var experiment) || await experiments.FindAsync(tenant, experiment, ct) is not { } found) return Refusal.NotFound("experiment", command.Experiment);
            if (found.Deleted) return RunRefusals.ExperimentDeleted(command.Experiment);
            var tags = (body.Tags ?? new Dictionary<string, string>()).Select(t => new Pair(t.Key, t.Value)).ToList();
            if (body.Parent is { } parent)
            {
                if (!Guid.TryParse(parent, out var whole) || await runs.FindAsync(tenant, whole, ct) is null) return Refusal.NotFound("run", parent) with { Field = "parent" };
                tags.Add(new(RunStore.ParentTag, whole.ToString("N")));
            }

            // Ids are of version 7, whose beginning is the time: runs that are begun together lie together.
            var id = Guid.CreateVersion7(time.GetUtcNow());
            var name = body.Name is { Length: > 0 } given ? given : RunNames.For(id);
            tags.Add(new(RunStore.NameTag, name));
            var created = await runs.CreateAsync(tenant, experiment, id, name, scope.Current.Subject, (body.StartedAt ?? time.GetUtcNow()).ToUnixTimeMilliseconds(), tags, ct);
            return created.Refusal is { } refusal ? refusal.InOwnWords(command.Experiment) : RunView.Of(created.Value);
        }
    }
}
