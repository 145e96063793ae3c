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

/// <summary>Ends a run, gives it another name, or changes its tags.</summary>
internal static class UpdateRun
{
    private static readonly string[] Statuses = ["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"];

    /// <param name="Status">RUNNING, SCHEDULED, FINISHED, FAILED or KILLED.</param>
    /// <param name="EndedAt">Now when it is left out and the status is an end.</param>
    /// <param name="Tags">Those to set; null takes a tag away.</param>
    internal sealed record Body(string? Name = null, string? Status = null, DateTimeOffset? EndedAt = null, IReadOnlyDictionary<string, string?>? Tags = null);

    [Needs(Permissions.WriteRuns)]
    internal sealed record Command(string Run, Body Change) : IRequest<Result<RunView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Change.Name).Must(n => n is null || (n.Length > 0 && RunKeys.IsText(n, RunKeys.LongestName))).WithMessage($"A name has 1 to {RunKeys.LongestName} characters, none of them NUL.").OverridePropertyName("name");
            RuleFor(c => c.Change.Status).Must(s => s is null || Statuses.Contains(s)).WithMessage($"A status is one of {string.Join(", ", Statuses)}.").OverridePropertyName("status");
            RuleFor(c => c.Change.Tags).Must(t => t is null or { Count: <= RunKeys.MostTags }).WithMessage($"At most {RunKeys.MostTags} tags go into one call.").OverridePropertyName("tags");
            RuleForEach(c => c.Change.Tags).IsTagChange().OverridePropertyName("tags");
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPatch("runs/{run}", Patch).WithName(nameof(UpdateRun)).Needs(Permissions.WriteRuns).WithSummary("End a run, or change its name and tags")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Ok<RunView>, ProblemHttpResult>> Patch(string run, Body body, IMediator mediator, CancellationToken ct) => mediator.Send(new Command(run, body), ct).ToOk();

    internal sealed class Handler(RunStore runs, TimeProvider time, CallerScope scope) : IRequestHandler<Command, Result<RunView>>
    {
        public async Task<Result<RunView>> Handle(Command command, CancellationToken ct)
        {
            var (change, tenant) = (command.Change, scope.Current.Tenant);
            if (!Guid.TryParse(command.Run, out var id)) return Refusal.NotFound("run", command.Run);
            var ended = change.EndedAt ?? (change.Status is "FINISHED" or "FAILED" or "KILLED" ? time.GetUtcNow() : null);
            var tags = change.Tags ?? new Dictionary<string, string?>();
            var updated = await runs.UpdateAsync(
                tenant, id, change.Status, ended?.ToUnixTimeMilliseconds(), change.Name, ct, [.. tags.Where(t => t.Value is not null).Select(t => new Pair(t.Key, t.Value!))], [.. tags.Where(t => t.Value is null).Select(t => t.Key)]);
            if (updated.Refusal is { } refusal) return refusal.InOwnWords(command.Run);
            return await runs.FindAsync(tenant, id, ct) is { } run ? RunView.Of(run) : Refusal.NotFound("run", command.Run);
        }
    }
}
