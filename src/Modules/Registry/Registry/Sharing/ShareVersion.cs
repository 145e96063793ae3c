using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Contracts;
using Platform.Registry.Models;

namespace Platform.Registry.Sharing;

/// <summary>Opens a version to other tenants, who may look at it and derive versions of their own from it. Again with others named, it is open to those instead.</summary>
internal static class ShareVersion
{
    /// <param name="Everyone">To all tenants, also those to come.</param>
    /// <param name="Tenants">To these.</param>
    internal sealed record Body(bool Everyone = false, IReadOnlyList<string>? Tenants = null);

    [Needs(Permissions.Manage)]
    internal sealed record Command(string Model, int Version, Body To) : IRequest<Result<SharingView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.To.Tenants).Must((c, tenants) => c.To.Everyone ? tenants is null or { Count: 0 } : tenants is { Count: > 0 and <= 1000 })
                .OverridePropertyName("tenants").WithMessage("Name 1 to 1,000 tenants in 'tenants', or say 'everyone' and name none.");
            RuleForEach(c => c.To.Tenants).Must(Names.IsSlug).OverridePropertyName("tenants").WithMessage("'{PropertyValue}' is no tenant's id.");
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPut("models/{model}/versions/{version:int}/sharing", Put).WithName(nameof(ShareVersion)).Needs(Permissions.Manage).WithSummary("Share a version with other tenants")
            .WithDescription("They see its description, signature, columns (with the ranges and categories seen in training) and interval table, and may derive versions from it; its rules, where it has some, hold in those too. Of how it was trained they see nothing.")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Ok<SharingView>, ProblemHttpResult>> Put(string model, int version, Body body, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(model, version, body), ct).ToOk();

    internal static Result<VersionShared> Decide(ModelVersion version, Body to)
    {
        if (version.IsQuarantined) return Refusal.Conflict("version-quarantined", $"Version {version.Facts.Version} of '{version.Model}' is quarantined.", "version", "Share one that is not.");
        if (version.Facts.Kind is not (ArtifactKind.Onnx or ArtifactKind.MlNet))
        {
            return Refusal.Conflict("version-not-shareable", $"Version {version.Facts.Version} of '{version.Model}' is not one file: it names other versions, another server or a folder, which are the tenant's own.", "version",
                "Share a version that is an ONNX file or an ML.NET archive.");
        }

        return new VersionShared(version.Facts.Version, to.Everyone, to.Everyone ? [] : [.. to.Tenants!.Distinct()]);
    }

    internal sealed class Handler(IDocumentSession session, Publications publications, CallerScope scope) : IRequestHandler<Command, Result<SharingView>>
    {
        public async Task<Result<SharingView>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForExclusiveWriting<RegisteredModel>(RegisteredModel.Key(command.Model), ct);
            if (stream.Aggregate is not { Deleted: false }) return Refusal.NotFound("model", command.Model);
            if (await session.LoadAsync<ModelVersion>(ModelVersion.Key(command.Model, command.Version), ct) is not { } version) return Refusal.NotFound("model version", $"{command.Model}/{command.Version}");
            var decided = Decide(version, command.To);
            if (decided.Refusal is { } refusal) return refusal;
            stream.AppendOne(decided.Value);
            await session.SaveChangesAsync(ct);
            return SharingView.Of((await publications.FindOwnAsync(scope.Current.Tenant, command.Model, command.Version, ct))!.Value);
        }
    }
}
