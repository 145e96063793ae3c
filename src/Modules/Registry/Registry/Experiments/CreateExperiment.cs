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

/// <summary>Creates an experiment, whose artifacts are kept here.</summary>
internal static class CreateExperiment
{
    [Needs(Permissions.WriteRuns)]
    internal sealed record Command(string Name) : IRequest<Result<ExperimentView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules() => RuleFor(c => c.Name).NotEmpty().MaximumLength(RunKeys.LongestName).Must(n => n?.Contains('\0') is not true).WithMessage("A name holds no character NUL.");
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("experiments", Post).WithName(nameof(CreateExperiment)).Needs(Permissions.WriteRuns).WithSummary("Create an experiment").ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Created<ExperimentView>, ProblemHttpResult>> Post(Command command, IMediator mediator, CancellationToken ct) =>
        mediator.Send(command, ct).ToCreated(made => $"/api/v1/registry/experiments/{made.Id}");

    internal sealed class Handler(ExperimentStore experiments, CallerScope scope) : IRequestHandler<Command, Result<ExperimentView>>
    {
        public async Task<Result<ExperimentView>> Handle(Command command, CancellationToken ct)
        {
            var made = await experiments.CreateAsync(scope.Current.Tenant, command.Name, null, new Dictionary<string, string>(), ct);
            if (made.IsOk) return ExperimentView.Of(new(made.Value, 0, null));
            return made.Refusal is { Kind: RefusalKind.Conflict } ? Refusal.Conflict("experiment-exists", $"There is an experiment '{command.Name}' already.", "name", "Choose another name, or log into that one.") : made.Refusal!;
        }
    }
}
