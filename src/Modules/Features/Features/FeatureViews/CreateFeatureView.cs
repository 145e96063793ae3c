using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Features.Datasets;
using Platform.Features.Entities;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Features.FeatureViews;

/// <summary>Says which columns of a dataset describe an entity, and under which key. Nothing can be looked up before it is materialised.</summary>
internal static class CreateFeatureView
{
    /// <param name="KeyColumn">The column that names the thing a row is about.</param>
    /// <param name="Features">The columns to be looked up; leave out for all others.</param>
    /// <param name="TimestampColumn">A column of dates: of several rows of a key the latest counts. Without it the last in the file.</param>
    [Needs(Permissions.Write)]
    internal sealed record Command(string Name, string Entity, string Dataset, string KeyColumn, IReadOnlyList<string>? Features = null, string? TimestampColumn = null)
        : IRequest<Result<FeatureViewView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Name).IsName();
            RuleFor(c => c.KeyColumn).NotEmpty();
            RuleFor(c => c.Features).Must(features => features is null or { Count: > 0 }).WithMessage("Name at least one column, or leave the list out for all columns but the key.");
            RuleFor(c => c.Features).Must(features => features is null || features.Distinct().Count() == features.Count).WithMessage("A column stands twice in the list.");
            RuleFor(c => c.Features).Must((c, features) => features is null || !features.Contains(c.KeyColumn)).WithMessage(c => $"'{c.KeyColumn}' is the key and need not be a feature.");
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("feature-views", Post).WithName(nameof(CreateFeatureView)).Needs(Permissions.Write).WithSummary("Create a feature view")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Created<FeatureViewView>, ProblemHttpResult>> Post(Command command, IMediator mediator, CancellationToken ct) =>
        mediator.Send(command, ct).ToCreated(view => $"/api/v1/features/feature-views/{view.Name}");

    internal static Result<FeatureViewCreated> Decide(FeatureView? before, Command command, DatasetProfile profile)
    {
        if (before is { Deleted: false })
        {
            return Refusal.Conflict("feature-view-exists", $"There is a feature view '{command.Name}' already.", "name", "Choose another name, or delete the feature view that is there.");
        }

        var columns = profile.Schema();
        var features = command.Features ?? [.. columns.Select(c => c.Name).Where(name => name != command.KeyColumn)];
        if (FeatureView.Judge(columns, command.KeyColumn, features, command.TimestampColumn) is { } refusal) return refusal;
        return new FeatureViewCreated(command.Entity, command.Dataset, command.KeyColumn, features, command.TimestampColumn);
    }

    internal sealed class Handler(IDocumentSession session) : IRequestHandler<Command, Result<FeatureViewView>>
    {
        public async Task<Result<FeatureViewView>> Handle(Command command, CancellationToken ct)
        {
            if (await session.LoadAsync<Entity>(Entity.Key(command.Entity), ct) is null) return Refusal.NotFound("entity", command.Entity) with { Field = "entity" };
            var dataset = await Dataset.FindAsync(session, command.Dataset, number: null, ct);
            if (dataset.Refusal is { } noDataset) return noDataset with { Field = "dataset" };

            var stream = await session.Events.FetchForWriting<FeatureView>(FeatureView.Key(command.Name), ct);
            var decided = Decide(stream.Aggregate, command, dataset.Value.Profile);
            if (decided.Refusal is { } refusal) return refusal;
            stream.AppendOne(decided.Value);
            await session.SaveChangesAsync(ct);
            return FeatureViewView.Of((await session.LoadAsync<FeatureView>(FeatureView.Key(command.Name), ct))!, dataset.Value.Profile, run: null);
        }
    }
}
