using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Models;

/// <summary>Changes what people say of a version: its description, its stage, its tags. What it is made of never changes.</summary>
internal static class UpdateVersion
{
    private const int LongestDescription = 10_000, MostTags = 50;

    /// <summary>MLflow's old ones. The platform does not act on them; aliases are what endpoints follow.</summary>
    internal static readonly string[] Stages = ["None", "Staging", "Production", "Archived"];

    /// <param name="Description">An empty one takes it away.</param>
    /// <param name="Stage">None, Staging, Production or Archived.</param>
    /// <param name="Tags">Those to set; null takes a tag away.</param>
    internal sealed record Body(string? Description = null, string? Stage = null, IReadOnlyDictionary<string, string?>? Tags = null);

    [Needs(Permissions.Write)]
    internal sealed record Command(string Model, int Version, Body Change) : IRequest<Result<VersionView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Change.Description).MaximumLength(LongestDescription).OverridePropertyName("description");
            RuleFor(c => c.Change.Stage).Must(s => s is null || Stages.Contains(s)).WithMessage($"A stage is one of {string.Join(", ", Stages)}.").OverridePropertyName("stage");
            RuleFor(c => c.Change.Tags).Must(t => t is null or { Count: <= MostTags }).WithMessage($"'tags' is an object of at most {MostTags} names and texts.").OverridePropertyName("tags");
            RuleForEach(c => c.Change.Tags).Must(t => t.Key.Length is > 0 and <= 100 && t.Value is null or { Length: <= 500 })
                .WithMessage((_, t) => $"The tag '{t.Key}' does not fit: a tag's name has 1 to 100 characters and its value at most 500.").OverridePropertyName("tags");
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPatch("models/{model}/versions/{version:int}", Patch).WithName(nameof(UpdateVersion)).Needs(Permissions.Write).WithSummary("Change a version's description, stage and tags")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<VersionView>, ProblemHttpResult>> Patch(string model, int version, Body body, IMediator mediator, CancellationToken ct) => mediator.Send(new Command(model, version, body), ct).ToOk();

    internal static IReadOnlyList<object> Decide(ModelVersion version, Body change)
    {
        var number = version.Facts.Version;
        List<object> events = [];
        if (change.Description is { } description && description != (version.Description ?? "")) events.Add(new VersionDescribed(number, description));
        if (change.Stage is { } stage && stage != version.Stage) events.Add(new VersionStageChanged(number, stage));
        if (change.Tags is { Count: > 0 } tags)
        {
            var left = version.Tags.Where(t => !tags.ContainsKey(t.Key)).Concat(tags.Where(t => t.Value is not null).Select(t => KeyValuePair.Create(t.Key, t.Value!))).ToDictionary();
            events.Add(new VersionTagsChanged(number, left));
        }

        return events;
    }

    internal sealed class Handler(IDocumentSession session) : IRequestHandler<Command, Result<VersionView>>
    {
        public async Task<Result<VersionView>> Handle(Command command, CancellationToken ct)
        {
            var written = await session.WriteVersionAsync(command.Model, command.Version, (_, version) => Task.FromResult(Result<IReadOnlyList<object>>.Ok(Decide(version, command.Change))), ct);
            if (written.Refusal is { } refusal) return refusal;
            return VersionView.Of((await session.LoadAsync<ModelVersion>(ModelVersion.Key(command.Model, command.Version), ct))!, written.Value);
        }
    }
}
