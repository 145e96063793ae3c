using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Registry.Signing;

/// <summary>Retires a signing key: it verifies nothing new. What it verified before stays verified, and says by which key.</summary>
internal static class RetireSigningKey
{
    [Needs(Permissions.Manage)]
    internal sealed record Command(string Key) : IRequest<Result<Done>>;

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapDelete("signing-keys/{key}", Delete).WithName(nameof(RetireSigningKey)).Needs(Permissions.Manage).WithSummary("Retire a signing key")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<NoContent, ProblemHttpResult>> Delete(string key, IMediator mediator, CancellationToken ct) => mediator.Send(new Command(key), ct).ToNoContent();

    internal sealed class Handler(IDocumentSession session) : IRequestHandler<Command, Result<Done>>
    {
        public async Task<Result<Done>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForWriting<SigningPolicy>(SigningPolicy.Key, ct);
            if (stream.Aggregate?.Keys.FirstOrDefault(key => key.Name == command.Key) is not { } found) return Refusal.NotFound("signing key", command.Key);
            if (found.RetiredAt is not null) return Done.Value;
            stream.AppendOne(new SigningKeyRetired(command.Key));
            await session.SaveChangesAsync(ct);
            return Done.Value;
        }
    }
}
