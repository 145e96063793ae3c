using System.Net.Mime;
using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Onnx;

namespace Platform.Registry.Models;

/// <summary>Adds a version from an ONNX file: streamed to the blob store, its hash checked, inspected in a process of its own and only then visible.</summary>
internal static class UploadVersion
{
    /// <param name="Content">Read once, to its end.</param>
    /// <param name="ExpectedSha256">What the sender says the content's hash is; null when they did not say.</param>
    /// <param name="PredictionOutput">The output that is the prediction, for a model with several.</param>
    [Needs(Permissions.Write)]
    internal sealed record Command(string Model, Stream Content, string? ExpectedSha256, string? PredictionOutput, string? Description) : IRequest<Result<VersionView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.ExpectedSha256).Matches("^[0-9a-fA-F]{64}$").OverridePropertyName(Upload.HashHeader)
                .WithMessage($"{Upload.HashHeader} must be the SHA-256 of the file in hex, 64 digits.");
            RuleFor(c => c.Description).MaximumLength(2000);
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("models/{model}/versions", PostAsync).WithName(nameof(UploadVersion)).Needs(Permissions.Write).WithSummary("Upload an ONNX file as a new version")
            .WithDescription($"The body is the file itself, or a multipart form with one file. `{Upload.HashHeader}` is checked when it is sent.")
            // Any other kind is let through to be refused with a mend; routing's own 415 has none.
            .Accepts<Stream>(MediaTypeNames.Application.Octet, MediaTypeNames.Multipart.FormData, "*/*")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status413PayloadTooLarge).ProducesProblem(StatusCodes.Status415UnsupportedMediaType);

    private static async Task<Results<Created<VersionView>, ProblemHttpResult>> PostAsync(
        string model, string? predictionOutput, string? description, HttpRequest request, IMediator mediator, RegistryLimits limits, CancellationToken ct)
    {
        var content = await Upload.OpenAsync(request, limits.MaxModelBytes, ct);
        if (content.Refusal is { } unreadable) return unreadable.ToProblem();
        var expected = request.Headers.TryGetValue(Upload.HashHeader, out var hash) ? hash.ToString() : null;
        return await mediator.Send(new Command(model, content.Value, expected, predictionOutput, description), ct)
            .ToCreated(version => $"/api/v1/registry/models/{model}/versions/{version.Version}");
    }

    internal static Result<VersionAdded> Decide(RegisteredModel model, Command command, BlobRef artifact, InspectedModel inspected, string author)
    {
        if (command.PredictionOutput is { } output && inspected.Signature.Outputs.All(o => o.Name != output))
        {
            return Refusal.Invalid("unknown-output", $"The model has no output '{output}'.", "predictionOutput",
                $"Choose one of: {string.Join(", ", inspected.Signature.Outputs.Select(o => o.Name).Take(20))}.");
        }

        return new VersionAdded(
            model.LatestVersion + 1, VersionSource.Upload, author, command.Description, artifact.Sha256, artifact.Length, inspected.Signature, inspected.Columns,
            command.PredictionOutput ?? inspected.PredictionOutput, Calibration: null, inspected.Facts, Metrics: null, Training: null);
    }

    internal sealed class Handler(IDocumentSession session, IBlobStore blobs, OnnxInspections inspections, RegistryLimits limits, CallerScope scope)
        : IRequestHandler<Command, Result<VersionView>>
    {
        public async Task<Result<VersionView>> Handle(Command command, CancellationToken ct)
        {
            // Asked before a byte is read: a gigabyte for a model that is not there would be for nothing.
            if (await session.LoadAsync<RegisteredModel>(RegisteredModel.Key(command.Model), ct) is null) return Refusal.NotFound("model", command.Model);

            var tenant = scope.Current.Tenant;
            var stored = await StoreAsync(tenant, command, ct);
            if (stored.Refusal is { } notStored) return notStored;
            var artifact = stored.Value;

            var inspected = await inspections.InspectAsync(tenant, artifact.Sha256, ct);
            if (inspected.Refusal is { } unsound)
            {
                // Content-addressed: an accepted version with the same content would need the file. A file that is refused once is always refused,
                // so nobody can be adding one meanwhile.
                if (!await session.Query<ModelVersion>().AnyAsync(v => v.Facts.ArtifactSha256 == artifact.Sha256, ct)) await blobs.DeleteAsync(tenant, artifact.Sha256, ct);
                return unsound;
            }

            // The stream is locked while the next number is taken, so that two uploads at once become two versions and neither is lost.
            var stream = await session.Events.FetchForExclusiveWriting<RegisteredModel>(RegisteredModel.Key(command.Model), ct);
            var decided = Decide(stream.Aggregate!, command, artifact, inspected.Value, scope.Current.Subject);
            if (decided.Refusal is { } refusal) return refusal;
            stream.AppendOne(decided.Value);
            await session.SaveChangesAsync(ct);

            var version = await session.LoadAsync<ModelVersion>(ModelVersion.Key(command.Model, decided.Value.Version), ct);
            return VersionView.Of(version!, stream.Aggregate!);
        }

        private async Task<Result<BlobRef>> StoreAsync(string tenant, Command command, CancellationToken ct)
        {
            try
            {
                await using var content = command.ExpectedSha256 is { } expected ? new HashCheckedStream(command.Content, expected) : command.Content;
                var stored = await blobs.PutAsync(tenant, content, limits.MaxModelBytes, ct);
                return stored.Refusal is { } refusal ? refusal with { Field = "file" } : stored.Value;
            }
            catch (HashMismatchException mismatch)
            {
                return Refusal.Invalid("hash-mismatch", $"The content's SHA-256 is {mismatch.Actual}, not what {Upload.HashHeader} says.", Upload.HashHeader,
                    "Send the file again: it was changed on the way, or the hash is another file's.");
            }
        }
    }
}
