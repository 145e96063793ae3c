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

/// <summary>Notes the datasets that a run used, which is how its lineage knows them.</summary>
internal static class LogDatasets
{
    private const int MostDatasets = 1_000, LongestDigest = 36, LongestSource = 65_535;

    internal sealed record Body(IReadOnlyList<Used> Datasets);

    /// <param name="Digest">What tells its content, such as the first 36 characters of its SHA-256: a dataset of the platform is recognised by it.</param>
    /// <param name="SourceType">What kind of place it came from, such as <c>platform</c>, <c>http</c>, <c>s3</c>.</param>
    /// <param name="Source">The place.</param>
    /// <param name="Context">What for, such as <c>training</c>.</param>
    internal sealed record Used(string Name, string Digest, string SourceType = "platform", string Source = "", string? Context = null);

    [Needs(Permissions.WriteRuns)]
    internal sealed record Command(string Run, Body Logged) : IRequest<Result<Done>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Logged.Datasets).Must(d => d is { Count: > 0 and <= MostDatasets }).WithMessage($"'datasets' is a list of 1 to {MostDatasets}.").OverridePropertyName("datasets");
            RuleForEach(c => c.Logged.Datasets).Must(d => d is { Name.Length: > 0, Digest.Length: > 0, SourceType.Length: > 0 } && RunKeys.IsText(d.Name, RunKeys.LongestName) && RunKeys.IsText(d.Digest, LongestDigest)
                    && RunKeys.IsText(d.SourceType, RunKeys.LongestName) && RunKeys.IsText(d.Source, LongestSource) && (d.Context is null || RunKeys.IsText(d.Context, RunKeys.LongestName)))
                .WithMessage($"A dataset has a name, a digest of at most {LongestDigest} characters and a source type.").OverridePropertyName("datasets");
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("runs/{run}/datasets", Post).WithName(nameof(LogDatasets)).Needs(Permissions.WriteRuns).WithSummary("Note the datasets a run used")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<NoContent, ProblemHttpResult>> Post(string run, Body body, IMediator mediator, CancellationToken ct) => mediator.Send(new Command(run, body), ct).ToNoContent();

    internal sealed class Handler(RunStore runs, CallerScope scope) : IRequestHandler<Command, Result<Done>>
    {
        public async Task<Result<Done>> Handle(Command command, CancellationToken ct)
        {
            if (!Guid.TryParse(command.Run, out var id)) return Refusal.NotFound("run", command.Run);
            var noted = await runs.LogInputsAsync(scope.Current.Tenant, id,
                [.. command.Logged.Datasets.Select(d => new DatasetInput(d.Name, d.Digest, d.SourceType, d.Source, null, null, d.Context is null ? [] : [new Pair(RunStore.ContextTag, d.Context)]))], ct);
            return noted.Refusal is { } refusal ? refusal.InOwnWords(command.Run) : Done.Value;
        }
    }
}
