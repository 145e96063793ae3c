using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Contracts;
using Platform.Registry.Retention;

namespace Platform.Registry.Models;

/// <summary>Deletes a version that no alias and no endpoint uses and that is not held. Its number is not used again.</summary>
internal static class DeleteVersion
{
    [Needs(Permissions.Write)]
    internal sealed record Command(string Model, int Version) : IRequest<Result<Done>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapDelete("models/{model}/versions/{version:int}", Delete).WithName(nameof(DeleteVersion)).Needs(Permissions.Write).WithSummary("Delete a version")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<NoContent, ProblemHttpResult>> Delete(string model, int version, IMediator mediator, CancellationToken ct) => mediator.Send(new Command(model, version), ct).ToNoContent();

    internal sealed class Handler(IDocumentSession session, IMediator mediator, RetentionStore retention, CallerScope scope) : IRequestHandler<Command, Result<Done>>
    {
        public async Task<Result<Done>> Handle(Command command, CancellationToken ct)
        {
            var deleted = await session.WriteVersionAsync(command.Model, command.Version, async (model, version) =>
            {
                var (name, number) = (command.Model, command.Version);
                if (VersionView.AliasesOf(model, version) is [_, ..] aliases)
                {
                    return Refusal.Conflict("version-has-alias", $"Version {number} of '{name}' has the alias '{aliases[0]}'.", "version", "Remove the alias or move it to another version first.");
                }

                if (await retention.HeldAsync(scope.Current.Tenant, name, ct) is { } held) return held;
                var endpoint = (await mediator.Send(new FindEndpointsOf(name), ct)).FirstOrDefault(e => e.AliasOrVersion == number.ToString());
                return endpoint is not null
                    ? Refusal.Conflict("version-served", $"Version {number} of '{name}' is served by '{endpoint.Name}'.", "version", "Retire that endpoint or have it serve another version first.")
                    : Result<IReadOnlyList<object>>.Ok([new VersionDeleted(number)]);
            }, ct);
            return deleted.Refusal is { } refusal ? refusal : Done.Value;
        }
    }
}
