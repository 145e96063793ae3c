using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Retention;

namespace Platform.Registry.Models;

/// <summary>Describes a model, or gives it another name. Its versions go along with their numbers, and the old name is free.</summary>
internal static class UpdateModel
{
    private const int LongestDescription = 10_000;

    /// <param name="Description">An empty one takes it away.</param>
    /// <param name="Name">The new one. A model that is served, held or has aliases keeps its name.</param>
    internal sealed record Body(string? Description = null, string? Name = null);

    [Needs(Permissions.Write)]
    internal sealed record Command(string Model, Body Change) : IRequest<Result<ModelView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Change.Description).MaximumLength(LongestDescription).OverridePropertyName("description");
            RuleFor(c => c.Change.Name!).IsName().When(c => c.Change.Name is not null).OverridePropertyName("name");
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPatch("models/{model}", Patch).WithName(nameof(UpdateModel)).Needs(Permissions.Write).WithSummary("Describe or rename a model")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Ok<ModelView>, ProblemHttpResult>> Patch(string model, Body body, IMediator mediator, CancellationToken ct) => mediator.Send(new Command(model, body), ct).ToOk();

    internal sealed class Handler(IDocumentSession session, IMediator mediator, RetentionStore retention, CallerScope scope) : IRequestHandler<Command, Result<ModelView>>
    {
        public async Task<Result<ModelView>> Handle(Command command, CancellationToken ct)
        {
            var (name, change) = (command.Model, command.Change);
            // Both are one change: where the new name is refused, the description stays as it was.
            var changed = change.Name is { } to && to != name ? await RenameAsync(session, mediator, retention, scope.Current.Tenant, name, to, ct, change.Description)
                : await session.WriteModelAsync(name, _ => change.Description is { } description ? ModelWrites.Events(new ModelDescribed(description)) : ModelWrites.Events(), ct);
            return changed.Refusal is { } refusal ? refusal : ModelView.Of(changed.Value);
        }
    }

    /// <param name="description">The new one; null leaves it.</param>
    internal static async Task<Result<RegisteredModel>> RenameAsync(IDocumentSession session, IMediator mediator, RetentionStore retention, string tenant, string name, string to, CancellationToken ct, string? description = null)
    {
        if (await mediator.WhyNeededAsync(retention, tenant, name, ct) is { } needed) return needed;
        var renamed = await session.WriteModelAsync(name, async model =>
        {
            if (model.Aliases.Count > 0) return Refusal.Conflict("model-has-aliases", $"'{name}' has aliases ({string.Join(", ", model.Aliases.Keys.Order())}), which approvals know by its name.", "name", "Remove them first.");
            var target = await session.Events.FetchForWriting<RegisteredModel>(RegisteredModel.Key(to), ct);
            if (target.Aggregate is not null) return Refusal.Conflict("model-exists", $"There is a model '{to}', or was and its version numbers are taken.", "name", "Choose another name.");
            var versions = await session.Query<ModelVersion>().Where(v => v.Model == name).ToListAsync(ct);
            target.AppendOne(new ModelRegistered(description ?? model.Description));
            if (model.Tags.Count > 0) target.AppendOne(new ModelTagsChanged(model.Tags));
            foreach (var v in versions.OrderBy(v => v.Facts.Version))
            {
                target.AppendOne(v.Facts with { Description = v.Description, Tags = v.Tags, Stage = v.Stage, AddedAt = v.AddedAt });
            }

            return Result<IReadOnlyList<object>>.Ok([new ModelDeleted(to)]);
        }, ct);
        return renamed.Refusal is { } refusal ? refusal : (await session.FindModelAsync(to, ct))!;
    }
}
