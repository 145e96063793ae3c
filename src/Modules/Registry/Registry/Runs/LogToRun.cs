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

/// <summary>Writes metrics, parameters and tags into a run: all of them or none.</summary>
internal static class LogToRun
{
    /// <param name="Parameters">Written once: the same value again is fine, another is refused.</param>
    /// <param name="Metrics">The same value of the same step and time again changes nothing, so a call may be repeated.</param>
    internal sealed record Body(IReadOnlyList<MetricValue>? Metrics = null, IReadOnlyDictionary<string, string>? Parameters = null, IReadOnlyDictionary<string, string>? Tags = null);

    /// <param name="At">When it was measured; now when it is left out.</param>
    internal sealed record MetricValue(string Key, double Value, long Step = 0, DateTimeOffset? At = null);

    [Needs(Permissions.WriteRuns)]
    internal sealed record Command(string Run, Body Logged) : IRequest<Result<Done>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Logged.Metrics).Must(m => m is null or { Count: <= RunKeys.MostMetrics }).WithMessage($"At most {RunKeys.MostMetrics} metrics go into one call.").OverridePropertyName("metrics");
            RuleFor(c => c.Logged.Parameters).Must(p => p is null or { Count: <= RunKeys.MostParameters }).WithMessage($"At most {RunKeys.MostParameters} parameters go into one call.").OverridePropertyName("parameters");
            RuleFor(c => c.Logged.Tags).Must(t => t is null or { Count: <= RunKeys.MostTags }).WithMessage($"At most {RunKeys.MostTags} tags go into one call.").OverridePropertyName("tags");
            RuleForEach(c => c.Logged.Metrics).Must(m => m is not null && RunKeys.IsSound(m.Key) && (m.At is null || m.At >= DateTimeOffset.UnixEpoch))
                .WithMessage($"A metric has a key of 1 to {RunKeys.Longest} characters ({RunKeys.Letters}), a number, and a time since 1970 if any.").OverridePropertyName("metrics");
            RuleForEach(c => c.Logged.Parameters).Must(p => RunKeys.IsSound(p.Key) && RunKeys.IsText(p.Value, RunKeys.LongestParameter))
                .WithMessage((_, p) => $"The parameter '{p.Key}' does not fit: its key has 1 to {RunKeys.Longest} characters ({RunKeys.Letters}), its value is a text of at most {RunKeys.LongestParameter}.").OverridePropertyName("parameters");
            RuleForEach(c => c.Logged.Tags).SetValidator(new CreateRun.TagRules()).OverridePropertyName("tags");
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("runs/{run}/log", Post).WithName(nameof(LogToRun)).Needs(Permissions.WriteRuns).WithSummary("Log metrics, parameters and tags into a run, all or none")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<NoContent, ProblemHttpResult>> Post(string run, Body body, IMediator mediator, CancellationToken ct) => mediator.Send(new Command(run, body), ct).ToNoContent();

    internal sealed class Handler(RunStore runs, TimeProvider time, CallerScope scope) : IRequestHandler<Command, Result<Done>>
    {
        public async Task<Result<Done>> Handle(Command command, CancellationToken ct)
        {
            if (!Guid.TryParse(command.Run, out var id)) return Refusal.NotFound("run", command.Run);
            var now = time.GetUtcNow();
            var logged = await runs.LogAsync(
                scope.Current.Tenant, id, [.. (command.Logged.Metrics ?? []).Select(m => new Metric(m.Key, m.Value, (m.At ?? now).ToUnixTimeMilliseconds(), m.Step))], Pairs(command.Logged.Parameters), Pairs(command.Logged.Tags), ct);
            return logged.Refusal is { } refusal ? refusal.InOwnWords(command.Run) : Done.Value;
        }

        private static Pair[] Pairs(IReadOnlyDictionary<string, string>? given) => [.. (given ?? new Dictionary<string, string>()).Select(p => new Pair(p.Key, p.Value))];
    }
}
