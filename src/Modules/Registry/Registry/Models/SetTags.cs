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

/// <summary>Replaces a model's tags: a person's own labels, which the platform does not act on.</summary>
internal static class SetTags
{
    private const int MostTags = 50;

    internal sealed record Body(IReadOnlyDictionary<string, string> Tags);

    [Needs(Permissions.Write)]
    internal sealed record Command(string Model, IReadOnlyDictionary<string, string> Tags) : IRequest<Result<ModelView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Tags).Must(tags => tags is { Count: <= MostTags }).WithMessage($"'tags' is an object of at most {MostTags} names and texts.");
            RuleForEach(c => c.Tags).Must(t => t.Key.Length is > 0 and <= 100 && t.Value is { Length: <= 500 })
                .WithMessage((_, t) => $"The tag '{t.Key}' does not fit: a tag's name has 1 to 100 characters and its value at most 500.");
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPut("models/{model}/tags", Put).WithName(nameof(SetTags)).Needs(Permissions.Write).WithSummary("Set a model's tags")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Ok<ModelView>, ProblemHttpResult>> Put(string model, Body body, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(model, body.Tags), ct).ToOk();

    internal sealed class Handler(IDocumentSession session) : IRequestHandler<Command, Result<ModelView>>
    {
        public async Task<Result<ModelView>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForWriting<RegisteredModel>(RegisteredModel.Key(command.Model), ct);
            if (stream.Aggregate is not { Deleted: false } model) return Refusal.NotFound("model", command.Model);
            var changed = new ModelTagsChanged(command.Tags);
            stream.AppendOne(changed);
            await session.SaveChangesAsync(ct);
            return ModelView.Of(model.Apply(changed));
        }
    }
}
