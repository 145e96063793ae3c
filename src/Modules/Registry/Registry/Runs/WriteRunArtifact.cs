using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Tracking;

namespace Platform.Registry.Runs;

/// <summary>Puts a file into a run, in place of the one that was there. It is streamed to the store; nothing is there until all of it is.</summary>
internal static class WriteRunArtifact
{
    [Needs(Permissions.WriteRuns)]
    internal sealed record Command(string Run, string Path, Stream Content) : IRequest<Result<Stored>>;

    /// <param name="Sha256">Of the content, in lower-case hexadecimal.</param>
    internal sealed record Stored(string Path, long Bytes, string Sha256);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPut("runs/{run}/artifacts/{**path}", PutAsync).WithName(nameof(WriteRunArtifact)).Needs(Permissions.WriteRuns).WithSummary("Put a file into a run")
            .Accepts<Stream>("*/*").ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status413PayloadTooLarge);

    private static async Task<Results<Ok<Stored>, ProblemHttpResult>> PutAsync(string run, string path, HttpRequest request, IMediator mediator, CancellationToken ct)
    {
        // The server's own limit is for JSON.
        if (request.HttpContext.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit) limit.MaxRequestBodySize = null;
        return await mediator.Send(new Command(run, path, request.Body), ct).ToOk();
    }

    internal sealed class Handler(RunStore runs, Artifacts artifacts, RegistryLimits limits, CallerScope scope) : IRequestHandler<Command, Result<Stored>>
    {
        public async Task<Result<Stored>> Handle(Command command, CancellationToken ct)
        {
            var tenant = scope.Current.Tenant;
            var place = await ListRunArtifacts.PlaceAsync(runs, tenant, command.Run, command.Path, ct);
            if (place.Refusal is { } refusal) return refusal;
            if (place.Value.Run.Deleted) return Refusal.Conflict("run-deleted", $"The run '{command.Run}' is deleted.", "run", "Restore it first.");
            if (command.Path.Length == 0) return Refusal.Invalid("bad-path", "The file has no name.", "path", "Name it in the address.");
            var stored = await artifacts.PutAsync(tenant, place.Value.Path, command.Content, limits.MaxArtifactBytes, ct);
            return stored.Refusal is { } notStored ? notStored : new Stored(command.Path, stored.Value.Length, stored.Value.Sha256);
        }
    }
}
