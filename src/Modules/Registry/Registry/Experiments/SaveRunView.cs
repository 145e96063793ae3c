using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Tracking;

namespace Platform.Registry.Experiments;

/// <summary>Keeps a view of an experiment's runs under a name, in place of the one that had it.</summary>
internal static class SaveRunView
{
    private const int MostColumns = 200, MostViews = 200;

    internal sealed record Body(string? Filter = null, string? OrderBy = null, IReadOnlyList<string>? Columns = null, bool Deleted = false);

    [Needs(Permissions.WriteRuns)]
    internal sealed record Command(string Experiment, string Name, string? Filter, string? OrderBy, IReadOnlyList<string>? Columns, bool Deleted) : IRequest<Result<RunViewSettings>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Name).NotEmpty().MaximumLength(SavedRunView.LongestName).Must(n => n?.Any(char.IsControl) is not true).WithMessage("A name holds no control characters.");
            RuleFor(c => c.Filter).MaximumLength(10_000).Must(f => f?.Contains('\0') is not true).WithMessage("A filter holds no character NUL.");
            RuleFor(c => c.OrderBy).MaximumLength(1_000).Must(f => f?.Contains('\0') is not true).WithMessage("An order holds no character NUL.");
            RuleFor(c => c.Columns).Must(c => c is null || c.Count <= MostColumns).WithMessage($"A view has at most {MostColumns} columns.");
            RuleForEach(c => c.Columns).Must(RunColumn.IsOne).WithMessage("'{PropertyValue}' is no column: use metrics., params., tags. or attributes. and a key.");
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPut("experiments/{experiment}/views/{view}", Put).WithName(nameof(SaveRunView)).Needs(Permissions.WriteRuns).WithSummary("Save a view of an experiment's runs")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<RunViewSettings>, ProblemHttpResult>> Put(string experiment, string view, Body body, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(experiment, view, body.Filter, body.OrderBy, body.Columns, body.Deleted), ct).ToOk();

    internal sealed class Handler(IDocumentSession session, ExperimentStore experiments, CallerScope scope, TimeProvider time) : IRequestHandler<Command, Result<RunViewSettings>>
    {
        public async Task<Result<RunViewSettings>> Handle(Command command, CancellationToken ct)
        {
            // What cannot be searched is not kept: a saved mistake would be everybody's.
            if (SearchFilter.Parse(command.Filter).Refusal is { } filter) return Refusal.Invalid("bad-filter", filter.Detail, "filter", "Mend the filter, then save the view.");
            if (command.OrderBy is { Length: > 0 } order && SearchFilter.ParseOrder(order).Refusal is { } bad) return Refusal.Invalid("bad-order", bad.Detail, "orderBy", "Mend the order, then save the view.");
            if (!long.TryParse(command.Experiment, out var experiment) || await experiments.FindAsync(scope.Current.Tenant, experiment, ct) is null) return Refusal.NotFound("experiment", command.Experiment);
            var saved = new SavedRunView(SavedRunView.Key(experiment, command.Name), experiment, command.Name, NullIfEmpty(command.Filter), NullIfEmpty(command.OrderBy), command.Columns ?? [], command.Deleted, scope.Current.Name, time.GetUtcNow());
            if (await session.LoadAsync<SavedRunView>(saved.Id, ct) is null && await session.Query<SavedRunView>().CountAsync(v => v.Experiment == experiment, ct) >= MostViews)
            {
                return Refusal.Conflict("too-many-views", $"An experiment has at most {MostViews} saved views.", "view", "Delete one, then save this one.");
            }

            session.Store(saved);
            await session.SaveChangesAsync(ct);
            return RunViewSettings.Of(saved);
        }

        private static string? NullIfEmpty(string? text) => string.IsNullOrWhiteSpace(text) ? null : text;
    }
}
